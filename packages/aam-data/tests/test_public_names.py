"""Public names of ``aam_data``, and the cost of importing it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import aam_data


@pytest.mark.parametrize("name", aam_data.__all__)
def test_every_name_exists(name: str) -> None:
    offered = getattr(aam_data, name)
    assert getattr(offered, "__name__", name) == name


def test_public_names_are_shown_by_dir_and_documented() -> None:
    assert set(aam_data.__all__) <= set(dir(aam_data))
    assert [name for name in aam_data.__all__ if not getattr(aam_data, name).__doc__] == []


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="No aam_data attribute read_everything"):
        aam_data.read_everything  # noqa: B018


def test_options_need_the_standard_library_only() -> None:
    code = (
        "import sys, aam_data; aam_data.TableOptions; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "aam_data" in loaded
    assert {"numpy", "pandas", "h5py", "scipy", "biom", "sklearn"}.isdisjoint(loaded)
