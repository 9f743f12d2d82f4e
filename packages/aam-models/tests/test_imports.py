"""Reading configurations is light; public names are found when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import aam_models


@pytest.mark.parametrize(
    "module", ["aam_models", "aam_models.config.encoder", "aam_models.storage.config_json", "aam_models.errors"]
)
def test_configurations_are_read_without_torch_and_numpy(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'numpy', 'safetensors'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_lead_to_something_documented() -> None:
    for name in aam_models.__all__:
        assert getattr(aam_models, name).__name__ == name
        assert getattr(aam_models, name).__doc__


def test_public_names_are_shown_by_dir() -> None:
    assert len(aam_models.__all__) > 20
    assert set(aam_models.__all__) <= set(dir(aam_models))


def test_other_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError, match="No aam_models attribute Decoder"):
        _ = aam_models.Decoder
