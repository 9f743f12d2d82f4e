"""What ``aam_train`` offers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import aam_train


@pytest.mark.parametrize("name", aam_train.__all__)
def test_every_name_exists(name: str) -> None:
    for _ in range(2):  # a submodule of the same name would take its place
        assert getattr(aam_train, name).__name__ == name


def test_public_names_are_shown_by_dir_and_documented() -> None:
    assert set(aam_train.__all__) <= set(dir(aam_train))
    assert [name for name in aam_train.__all__ if not getattr(aam_train, name).__doc__] == []


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="No aam_train attribute run_everything"):
        aam_train.run_everything  # noqa: B018


def test_settings_need_the_standard_library_only() -> None:
    code = "import sys, aam_train; aam_train.TrainConfig; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "aam_models" in loaded
    assert {"numpy", "torch", "pandas", "sklearn", "matplotlib", "rich", "tomli_w"}.isdisjoint(loaded)
