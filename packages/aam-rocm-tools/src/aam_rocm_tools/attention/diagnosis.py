"""Comparison of every attention backend with the plain formula, and advice from the results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from aam_rocm_tools.attention.backends import BACKENDS, BackendMissing, attention
from aam_rocm_tools.attention.cases import Attention, Case, Expected, cases, expected, run
from aam_rocm_tools.attention.speed import Speed, measure_speed
from aam_rocm_tools.known_builds import Build, known_facts, this_build


@dataclass(frozen=True)
class Result:
    """Result of a backend in a case.

    Attributes:
        forward, backward: largest differences from the reference, relative to its largest value; NaN where a number is
            not finite.
        missing: why there is no such kernel here (nothing is compared then), else None.
        error: the error that the backend raised, else None.
    """

    backend: str
    case: Case
    forward: float = float("nan")
    backward: float = float("nan")
    missing: str | None = None
    error: str | None = None

    @property
    def passed(self) -> bool:
        """True if the backend is right, or not available."""
        if self.missing is not None:
            return True
        return self.forward <= self.case.limit and self.backward <= self.case.limit  # NaN is not

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON."""
        return {
            "backend": self.backend,
            "case": self.case.name,
            "shape": list(self.case.shape),
            "dtype": self.case.dtype_name,
            "mask": self.case.mask,
            "forward": _finite(self.forward),
            "backward": _finite(self.backward),
            "limit": self.case.limit,
            "passed": self.passed,
            "missing": self.missing,
            "error": self.error,
        }


@dataclass(frozen=True)
class Diagnosis:
    """Results of all backends in all cases.

    Attributes:
        device: the device under test.
        build: the build of PyTorch.
        results: one for each backend and case.
        speed: time and memory of every backend that runs, relative to math.
    """

    device: str
    build: Build
    results: list[Result]
    speed: list[Speed] = field(default_factory=list)

    @property
    def wrong(self) -> list[Result]:
        """Results that are wrong."""
        return [result for result in self.results if not result.passed]

    def wrong_backends(self, *, at_empty_rows: bool = False) -> list[str]:
        """Return the names of wrong backends, in the order of ``BACKENDS``.

        Args:
            at_empty_rows: return those that are wrong only at sequences of padding, which AAM never makes, instead of
                those that are wrong where AAM uses attention.
        """
        wrong = {result.backend for result in self.wrong if result.case.mask != "empty rows"}
        if at_empty_rows:
            wrong = {result.backend for result in self.wrong} - wrong
        return [name for name in BACKENDS if name in wrong]

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON."""
        return {
            "device": self.device,
            "torch": self.build.torch,
            "hip": self.build.hip,
            "cuda": self.build.cuda,
            "passed": not self.wrong,
            "advice": advice(self),
            "results": [result.to_dict() for result in self.results],
            "speed": [speed.to_dict() for speed in self.speed],
        }


def diagnose(device: torch.device, chosen: Iterable[Case] | None = None, *, speed: bool = True) -> Diagnosis:
    """Compare every backend with the formula in every case.

    Args:
        device: the device to test.
        chosen: the cases; all of them by default.
        speed: whether to measure time and memory too.
    """
    results = []
    for case in cases() if chosen is None else chosen:
        right = expected(case)
        results += [compare(name, case, right, device, partial(attention, name)) for name in BACKENDS]
    return Diagnosis(str(device), this_build(), results, measure_speed(device) if speed else [])


def compare(backend: str, case: Case, right: Expected, device: torch.device, attend: Attention) -> Result:
    """Compare one backend with the right results of one case."""
    mask = None if right.mask is None else right.mask.to(device)
    try:
        output, gradients = run(attend, right.inputs.to(device), right.upstream.to(device), mask)
    except BackendMissing as error:
        return Result(backend, case, missing=str(error))
    except RuntimeError as error:  # PyTorch raises it for everything that a device cannot do
        return Result(backend, case, error=str(error).splitlines()[0])
    forward = _difference(output.cpu(), right.output, right.rows)
    return Result(backend, case, forward, _difference(gradients.cpu(), right.gradients))


def advice(diagnosis: Diagnosis) -> list[str]:
    """Return advice in sentences that name flags of ``aam``; known facts about this build come last."""
    wrong = diagnosis.wrong_backends()
    lines = []
    if not wrong:
        lines.append("Attention is correct for AAM here: no flag is needed.")
    elif "math" in wrong:
        lines.append("Even plain attention is wrong: do not train with this PyTorch on this device.")
    elif "sdpa" in wrong:
        lines.append("PyTorch's default is wrong: pass --attn-implementation math to every aam command.")
    else:
        lines.append(f"The default is right; do not use --attn-implementation {' or '.join(wrong)}.")
    if at_empty := diagnosis.wrong_backends(at_empty_rows=True):
        lines.append(
            f"{' and '.join(at_empty)}: wrong at sequences that are all padding. AAM makes none, but other programs "
            "may."
        )
    return lines + known_facts(diagnosis.build)


def _difference(actual: Tensor, expected: Tensor, rows: Tensor | None = None) -> float:
    """Return the largest difference, relative to the largest expected value, over the sequences ``rows``.

    NaN if any number of any sequence is not finite.
    """
    if not actual.isfinite().all():
        return float("nan")
    if rows is not None:
        actual, expected = actual[rows], expected[rows]
    return float((actual.double() - expected).abs().max() / expected.abs().max())


def _finite(value: float) -> float | None:
    return value if value == value else None
