"""The diagnostic: right attention passes, wrong attention is caught and answered with advice and an exit status."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional as F

from aam_rocm_tools.attention import backends
from aam_rocm_tools.attention.backends import attention, find_device
from aam_rocm_tools.attention.cases import LIMITS, MASKS, SHAPES, Case, cases, expected, formula, padding_mask
from aam_rocm_tools.attention.report import attention_report
from aam_rocm_tools.attention_diagnostic import Diagnosis, Result, advice, compare, diagnose
from aam_rocm_tools.known_builds import Build, has_wrong_masks, known_facts
from aam_rocm_tools.main import main

CPU = torch.device("cpu")
SMALL = (6, 2, 17, 8)
REAL = F.scaled_dot_product_attention


def case(mask: str = "padding", dtype: torch.dtype = torch.float32) -> Case:
    return Case("small", SMALL, dtype, mask)


def result(mask: str, attend, dtype: torch.dtype = torch.float32) -> Result:
    chosen = case(mask, dtype)
    return compare("sdpa", chosen, expected(chosen), CPU, attend)


def by_hand(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Compute attention row by row: a softmax over the valid keys."""
    rows = []
    for x in range(len(query)):
        valid = slice(None) if mask is None else mask[x, 0, 0].nonzero()[:, 0]
        scores = query[x] @ key[x][:, valid].mT / SMALL[-1] ** 0.5
        rows.append(scores.softmax(-1) @ value[x][:, valid])
    return torch.stack(rows)


@pytest.mark.parametrize("mask", MASKS)
def test_the_formula_is_attention(mask: str) -> None:
    right = expected(case(mask))
    output = by_hand(*right.inputs.double(), right.mask).numpy()
    np.testing.assert_allclose(right.output.numpy(), output, atol=1e-14)
    assert right.rows.sum() == (5 if mask == "empty rows" else 6)
    assert not right.output[~right.rows].any()
    assert right.gradients.isfinite().all()


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("attend", [by_hand, formula])
def test_right_attention_passes(attend, mask: str) -> None:
    found = result(mask, attend)
    assert found.passed
    assert max(found.forward, found.backward) < 5e-6


@pytest.mark.parametrize(("dtype", "least"), [(torch.bfloat16, 1e-4), (torch.float16, 1e-5)])
def test_half_precision_is_allowed_its_rounding(dtype: torch.dtype, least: float) -> None:
    found = result("padding", formula, dtype)
    assert found.passed
    assert found.forward > least


def test_attention_that_ignores_its_mask_is_caught() -> None:
    def unmasked(query, key, value, mask):
        return formula(query, key, value, None)

    assert result("no mask", unmasked).passed
    assert not result("padding", unmasked).passed


def test_wrong_gradients_of_right_outputs_are_caught() -> None:
    found = result("no mask", lambda q, k, v, mask: formula(q, k.detach() + 0 * k, v, mask))
    assert found.forward < 1e-6
    assert not found.passed


def test_nan_in_an_empty_row_is_wrong_and_other_numbers_there_are_not() -> None:
    def fill(number: float):
        return lambda q, k, v, m: formula(q, k, v, m).masked_fill(~m.any(dim=-1, keepdim=True), number)

    assert result("empty rows", fill(3.0)).passed
    assert not result("empty rows", fill(float("nan"))).passed


@pytest.mark.parametrize(("forward", "backward"), [(float("nan"), 0.0), (0.0, float("nan")), (float("nan"),) * 2])
def test_nan_is_wrong(forward: float, backward: float) -> None:
    assert not Result("sdpa", case(), forward, backward).passed


def test_every_shape_is_tried_in_every_type_with_every_mask() -> None:
    tried = {(c.name, c.dtype, c.mask) for c in cases()}
    assert len(tried) == len(SHAPES) * len(LIMITS) * len(MASKS) == 27


def test_lengths_are_ragged() -> None:
    assert padding_mask((4, 1, 9, 1)).sum(dim=-1)[:, 0, 0].tolist() == [3, 5, 7, 9]
    assert padding_mask((4, 1, 9, 1), empty=True).sum(dim=-1)[:, 0, 0].tolist() == [0, 5, 7, 9]


def test_every_backend_of_this_machine_is_right() -> None:
    found = diagnose(CPU, [case(mask, dtype) for mask in MASKS for dtype in LIMITS], speed=False)
    assert found.wrong == []
    assert {r.backend for r in found.results if r.missing is None} == {"sdpa", "math", "flash"}
    reasons = {r.missing for r in found.results if r.backend == "mem_efficient"}
    assert None not in reasons
    assert advice(found)[0] == "Attention is correct for AAM here: no flag is needed."


def broken(query, key, value, attn_mask=None, **rest):
    """Imitate PyTorch on ROCm 6.2: right without a mask, wrong with one. Plain math stays right."""
    if attn_mask is None or (torch.backends.cuda.math_sdp_enabled() and not torch.backends.cuda.flash_sdp_enabled()):
        return REAL(query, key, value, attn_mask, **rest)
    return REAL(query, key, value, attn_mask.roll(1, dims=-1), **rest)


def test_a_broken_backend_is_caught_and_the_flag_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "scaled_dot_product_attention", broken)
    ran = CliRunner().invoke(main, ["attention", "--device", "cpu", "--no-speed"])
    assert ran.exit_code == 1
    assert "WRONG (bases, samples, large)" in ran.output
    assert "pass --attn-implementation math to every aam command" in ran.output
    wrong = {line.split()[0] for line in ran.output.splitlines() if "WRONG" in line}
    assert wrong == {"sdpa", "flash"}


def test_a_backend_that_raises_is_reported_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(query, key, value, attn_mask=None):
        raise RuntimeError("HIP error: invalid device function\nand more")

    monkeypatch.setattr(backends, "scaled_dot_product_attention", failing)
    found = diagnose(CPU, [case()], speed=False)
    assert {r.error for r in found.results} == {"HIP error: invalid device function"}
    assert advice(found)[0] == "Even plain attention is wrong: do not train with this PyTorch on this device."
    assert "FAILS: HIP error" in attention_report(found)


def test_a_wrong_backend_beside_the_default_is_only_to_be_avoided() -> None:
    found = Diagnosis("cuda", Build("2.7.1"), [Result("sdpa", case(), 0, 0), Result("mem_efficient", case(), 1.7, 0)])
    assert advice(found) == ["The default is right; do not use --attn-implementation mem_efficient."]


def test_what_is_wrong_at_empty_rows_alone_needs_no_flag_but_fails() -> None:
    found = Diagnosis("cuda", Build("2.7.1"), [Result("sdpa", case(), 0, 0), Result("sdpa", case("empty rows"))])
    assert len(found.wrong) == 1
    first, second = advice(found)
    assert first == "Attention is correct for AAM here: no flag is needed."
    assert second.startswith("sdpa: wrong at sequences that are all padding. AAM makes none")


@pytest.mark.parametrize(
    ("torch_version", "hip", "wrong", "words"),
    [
        ("2.5.1+rocm6.2", "6.2.41133-dd7f95766", True, "--attn-implementation math --no-gradient-checkpointing"),
        ("2.6.0+rocm6.2.4", "6.2.41134-65d174c3e", True, "about 1.7"),
        ("2.7.1+rocm6.3", "6.3.42131-fa1d09cbd", False, "no flags are needed"),
        ("2.6.0+rocm6.3", "6.3.1", False, "nothing is known about this pair"),
        ("2.5.1+cu124", None, False, None),
    ],
)
def test_known_builds(torch_version: str, hip: str | None, wrong: bool, words: str | None) -> None:
    build = Build(torch_version, hip)
    assert has_wrong_masks(build) == wrong
    facts = known_facts(build)
    assert (facts == []) if words is None else words in facts[0]


def test_a_rocm_build_gets_its_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.2.41133-dd7f95766")
    monkeypatch.setattr(torch, "__version__", "2.5.1+rocm6.2")
    text = attention_report(diagnose(CPU, [case()], speed=False))
    assert "PyTorch 2.5.1+rocm6.2 built for ROCm 6.2.41133-dd7f95766" in text
    assert "Until then use: --attn-implementation math --no-gradient-checkpointing" in text
    assert "--compile-model is not used" in text


def test_the_module_runs_alone_passes_here_and_measures_against_math() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aam_rocm_tools.attention_diagnostic", "--device", "cpu", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["passed"]
    assert len(found["results"]) == 27 * 5
    assert {r["limit"] for r in found["results"]} == set(LIMITS.values())
    math = [s for s in found["speed"] if s["backend"] == "math"]
    assert [s["time_relative_to_math"] for s in math] == [1.0, 1.0, 1.0]
    assert {s["memory_relative_to_math"] for s in found["speed"]} == {None}


def test_the_table_has_a_line_a_backend_type_and_mask() -> None:
    text = attention_report(diagnose(CPU, [case()], speed=True))
    assert "All 3 comparisons agree." in text
    assert re.search(r"^math +float32 +padding +\d\.\de-0\d +\d\.\de-0\d +1e-05  ok$", text, re.M)
    assert re.search(r"^cudnn +float32 +padding +- +- +-  not available here$", text, re.M)
    assert re.search(r"^math +bfloat16 +[\d.]+ ms +1\.00 +-$", text, re.M)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:99", "cuda:99: PyTorch sees"),
        ("tpu", "tpu is not one of auto, cpu"),
        ("cuda:-1", "cuda:-1 is not one"),
        ("cuda:" + "9" * 20, "9 is not one"),
    ],
)
def test_a_device_that_is_not_there_is_refused(device: str, message: str) -> None:
    ran = CliRunner().invoke(main, ["attention", "--device", device])
    assert ran.exit_code == 2
    assert message in ran.output


def test_auto_finds_a_device() -> None:
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_backends_of_a_gpu_agree_and_memory_is_measured() -> None:
    found = diagnose(torch.device("cuda"))
    assert found.wrong == []
    assert all(s.memory is not None and s.memory > 0 for s in found.speed)


def test_a_missing_kernel_has_a_reason() -> None:
    tensors = torch.zeros(3, 1, 1, 4, 8)
    with pytest.raises(backends.BackendMissing):
        attention("mem_efficient", *tensors, None)


@pytest.mark.parametrize("words", [["--help"], ["attention", "--help"], ["slurm", "--help"], ["profile", "--help"]])
def test_help_does_not_import_torch(words: list[str]) -> None:
    code = "import sys; from aam_rocm_tools.main import main\n"
    code += f"try: main({words})\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Options:" in done.stdout
