"""The diagnostic passes right attention, catches wrong attention, and says so by its exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from aam_rocm_tools.attention_diagnostic import (
    TOLERANCES,
    Case,
    Result,
    cases,
    compare,
    default_attention,
    find_device,
    report,
)
from aam_rocm_tools.main import main

CPU = torch.device("cpu")
SMALL = (6, 2, 17, 8)


def case(dtype: torch.dtype = torch.float32, *, masked: bool) -> Case:
    return Case("small", SMALL, dtype, masked)


def by_hand(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    scores = query.double() @ key.double().mT / SMALL[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(-1) @ value.double()).float()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("attention", [default_attention, by_hand])
def test_right_attention_passes(attention, masked: bool) -> None:
    result = compare(case(masked=masked), CPU, attention)
    assert result.passed
    assert max(result.forward, result.backward) < 5e-6


def test_half_precision_is_compared_with_float32_and_allowed_its_rounding() -> None:
    result = compare(case(torch.bfloat16, masked=True), CPU)
    assert result.passed
    assert result.forward > 1e-4


def test_attention_that_ignores_its_mask_is_caught() -> None:
    def unmasked(query, key, value, mask):
        return default_attention(query, key, value, None)

    assert compare(case(masked=False), CPU, unmasked).passed
    assert not compare(case(masked=True), CPU, unmasked).passed


def test_wrong_gradients_of_right_outputs_are_caught() -> None:
    def detached_key(query, key, value, mask):
        return default_attention(query, key.detach() + 0 * key, value, mask)

    result = compare(case(masked=False), CPU, detached_key)
    assert result.forward < 1e-6
    assert not result.passed


@pytest.mark.parametrize(("forward", "backward"), [(float("nan"), 0.0), (0.0, float("nan"))])
def test_nan_is_wrong(forward: float, backward: float) -> None:
    assert not Result(case(masked=True), forward, backward).passed


def test_nan_of_the_output_reaches_the_result() -> None:
    def broken(query, key, value, mask):
        return default_attention(query, key, value, mask) * torch.tensor([torch.nan] + [1.0] * (SMALL[-1] - 1))

    assert not compare(case(masked=True), CPU, broken).passed


def test_each_shape_is_tried_with_and_without_mask() -> None:
    tried = list(cases(CPU))
    assert [(c.name, c.masked) for c in tried] == [
        ("bases of ASVs", False),
        ("bases of ASVs", True),
        ("ASVs of samples", False),
        ("ASVs of samples", True),
    ]


def test_report_counts_what_is_wrong() -> None:
    results = [Result(case(masked=False), 1e-7, 1e-7), Result(case(masked=True), 1.7, 1e-7)]
    text = report(results, CPU)
    assert "small, float32, no mask                1.0e-07   1.0e-07   1.0e-05  ok" in text
    assert "small, float32, mask                   1.7e+00   1.0e-07   1.0e-05  WRONG" in text
    assert "1 of 2 comparisons are wrong" in text


def test_the_command_passes_here() -> None:
    result = CliRunner().invoke(main, ["attention-diagnostic", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert result.output.count(" ok\n") == 4
    assert "Attention is right here." in result.output


def test_the_command_fails_where_a_comparison_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOLERANCES, torch.float32, 0.0)
    result = CliRunner().invoke(main, ["attention-diagnostic", "--device", "cpu"])
    assert result.exit_code == 1
    assert "4 of 4 comparisons are wrong" in result.output


def test_the_module_runs_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aam_rocm_tools.attention_diagnostic", "--device", "cpu"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Attention is right here." in done.stdout


@pytest.mark.parametrize(
    ("device", "message"),
    [("cuda:99", "cuda:99: PyTorch sees"), ("tpu", "tpu is not one of auto, cpu"), ("cuda:-1", "cuda:-1 is not one")],
)
def test_a_device_that_is_not_there_is_refused(device: str, message: str) -> None:
    result = CliRunner().invoke(main, ["attention-diagnostic", "--device", device])
    assert result.exit_code == 2
    assert message in result.output


def test_auto_finds_a_device() -> None:
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; from aam_rocm_tools.main import main\n"
        "try: main(['attention-diagnostic', '--help'])\n"
        "finally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--device" in done.stdout
