"""On ROCm, a run checks the results of attention first and falls back to math if they are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from aam_models.attention_check import attention_error
from aam_train.device.precision import Precision, torch_settings, trusted_attention
from aam_train.errors import TrainError
from aam_train.options.compute import ComputeOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.recipes.pretrain import pretrain
from aam_train.reporting.console import ConsoleReporter

CPU = torch.device("cpu")
REAL = F.scaled_dot_product_attention
HIP = "6.2.41133-dd7f95766"


def math_alone() -> bool:
    """Return whether PyTorch may only use math."""
    return torch.backends.cuda.math_sdp_enabled() and not torch.backends.cuda.flash_sdp_enabled()


def broken(query, key, value, attn_mask=None):
    """PyTorch's function as ROCm 6.2 has it: wrong with a mask, unless math is chosen."""
    return REAL(query, key, value, attn_mask if math_alone() else None)


@pytest.fixture
def on_rocm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", HIP)
    monkeypatch.setattr(F, "scaled_dot_product_attention", broken)


def test_wrong_attention_is_reported_once_and_replaced_by_math(
    on_rocm: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attention_error(CPU, torch.float32) > 0.1
    with torch_settings(ComputeOptions(), CPU, ConsoleReporter(quiet=True)):
        assert math_alone()
        assert attention_error(CPU, torch.float32) < 1e-5
    assert not math_alone()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"warning: attention of PyTorch {torch.__version__} for ROCm {HIP} gives wrong results in float32"
    )
    assert "so --attn-implementation math is used" in line


@pytest.mark.usefixtures("on_rocm")
@pytest.mark.parametrize("kernel", ["math", "flash"])
def test_a_kernel_that_was_asked_for_is_used_as_it_is(kernel: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with torch_settings(ComputeOptions(attn_implementation=kernel), CPU, ConsoleReporter()):
        assert math_alone() == (kernel == "math")
    assert capsys.readouterr().err == ""


def test_right_attention_on_rocm_is_left_alone(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.3.42131-fa1d09cbd")
    for precision in ("none", "bf16", "fp16"):
        with trusted_attention(Precision(CPU, precision), ConsoleReporter()):
            assert not math_alone()
    assert capsys.readouterr().err == ""


def test_other_builds_are_not_checked(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(F, "scaled_dot_product_attention", broken)
    with trusted_attention(Precision(CPU), ConsoleReporter()):
        assert not math_alone()
    assert capsys.readouterr().err == ""


def test_it_is_an_error_if_math_is_wrong_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", HIP)
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v, attn_mask=None: REAL(q, k, v))
    with pytest.raises(TrainError, match="even with math"), trusted_attention(Precision(CPU), ConsoleReporter()):
        pass


def test_a_run_on_a_broken_build_is_the_run_with_math(
    monkeypatch: pytest.MonkeyPatch,
    pretrain_config: Callable[..., PretrainConfig],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def losses(name: str, **compute: Any) -> list[float]:
        config = pretrain_config(tmp_path / name, {"epochs": 1}, compute=ComputeOptions(**compute))
        pretrain(config, quiet=True)
        records = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        return [record["loss"]["total"] for record in records if record["kind"] == "step"]

    with_math = losses("math", attn_implementation="math")
    assert "--attn-implementation" not in capsys.readouterr().err
    monkeypatch.setattr(torch.version, "hip", HIP)
    monkeypatch.setattr(F, "scaled_dot_product_attention", broken)
    assert losses("broken") == with_math
    assert capsys.readouterr().err.count("so --attn-implementation math is used") == 1
