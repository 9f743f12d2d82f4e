"""Does attention give the right numbers on this machine?

Every backend of ``scaled_dot_product_attention`` that runs here against the plain formula in float64: outputs and
gradients, with and without masks, in every precision, in the shapes that AAM uses.

Run it as ``python -m aam_rocm_tools.attention_diagnostic`` or ``aam-rocm attention``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from aam_rocm_tools.attention_cases import Attention, Case, Wanted, cases, run, wanted
from aam_rocm_tools.attention_speed import Speed, measure_speed
from aam_rocm_tools.backends import BACKENDS, BackendMissing, attention
from aam_rocm_tools.known_builds import Build, known_facts, this_build


@dataclass(frozen=True)
class Result:
    """What a backend did with a case.

    Attributes:
        forward, backward: largest differences from the reference, relative to its largest value; NaN where a number is
            not finite.
        missing: why there is no such kernel here, else None; nothing is compared then.
        error: what went wrong in place of a result, else None.
    """

    backend: str
    case: Case
    forward: float = float("nan")
    backward: float = float("nan")
    missing: str | None = None
    error: str | None = None

    @property
    def passed(self) -> bool:
        """Right, or not there at all."""
        if self.missing is not None:
            return True
        return self.forward <= self.case.limit and self.backward <= self.case.limit  # NaN is not

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "backend": self.backend,
            "case": self.case.name,
            "shape": list(self.case.shape),
            "dtype": str(self.case.dtype).removeprefix("torch."),
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
    """All of it.

    Attributes:
        device: that was looked at.
        build: of PyTorch.
        results: of every backend in every case.
        speed: of every backend that runs, relative to math.
    """

    device: str
    build: Build
    results: list[Result]
    speed: list[Speed] = field(default_factory=list)

    @property
    def wrong(self) -> list[Result]:
        return [result for result in self.results if not result.passed]

    def wrong_backends(self) -> list[str]:
        """Names, in the order of ``BACKENDS``."""
        found = {result.backend for result in self.wrong}
        return [name for name in BACKENDS if name in found]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
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
        device: to look at.
        chosen: cases; all of them by default.
        speed: whether to measure time and memory too.
    """
    results = []
    for case in cases() if chosen is None else chosen:
        right = wanted(case)
        results += [compare(name, case, right, device, partial(attention, name)) for name in BACKENDS]
    return Diagnosis(str(device), this_build(), results, measure_speed(device) if speed else [])


def compare(backend: str, case: Case, right: Wanted, device: torch.device, attend: Attention) -> Result:
    """One backend, one case."""
    mask = None if right.mask is None else right.mask.to(device)
    try:
        output, gradients = run(attend, right.inputs.to(device), right.upstream.to(device), mask)
    except BackendMissing as error:
        return Result(backend, case, missing=str(error))
    except RuntimeError as error:  # what PyTorch raises for everything that a device cannot do
        return Result(backend, case, error=str(error).splitlines()[0])
    forward = _difference(output.cpu(), right.output, right.rows)
    return Result(backend, case, forward, _difference(gradients.cpu(), right.gradients))


def advice(diagnosis: Diagnosis) -> list[str]:
    """What to do, in sentences that name flags of ``aam``; what is known about this build comes last."""
    wrong = diagnosis.wrong_backends()
    lines = []
    if not wrong:
        lines.append("Attention is right here: no flag is needed.")
    elif "math" in wrong:
        lines.append("Even plain attention is wrong: do not train with this PyTorch on this device.")
    elif "sdpa" in wrong:
        lines.append("What PyTorch chooses by itself is wrong: give --attn-implementation math to every aam command.")
    else:
        lines.append(f"Right by default; do not give --attn-implementation {' or '.join(wrong)}.")
    return lines + known_facts(diagnosis.build)


def _difference(actual: Tensor, expected: Tensor, rows: Tensor | None = None) -> float:
    """Largest difference relative to the largest expected value, over some sequences; NaN if any number is not finite,
    in the other sequences too."""
    if not actual.isfinite().all():
        return float("nan")
    if rows is not None:
        actual, expected = actual[rows], expected[rows]
    return float((actual.double() - expected).abs().max() / expected.abs().max())


def _finite(value: float) -> float | None:
    return value if value == value else None


if __name__ == "__main__":
    from aam_rocm_tools.main import attention as command

    command()
