"""Known facts about builds of PyTorch for ROCm: where attention is wrong, and the flags of AAM that help.

The numbers are measurements of AAM's developers on MI300A (see docs/rocm.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MATH_FLAGS = "--attn-implementation math --no-gradient-checkpointing"
_WRONG_MASKS = (
    "ROCm {rocm} with PyTorch {torch}: mem_efficient attention is wrong with a mask (differences of about 1.7 from "
    "math; 7e-7 without a mask). Fixed in aotriton 0.8.2, which is in wheels of PyTorch 2.7 and later for ROCm 6.3. "
    f"Until then use: {MATH_FLAGS}"
)
_RIGHT_MASKS = (
    "ROCm {rocm} with PyTorch {torch}: no flags are needed. On MI300A with ROCm 6.3 and PyTorch 2.7.1 mem_efficient "
    "attention differs from math by 1.1e-6 and is 3.76 times faster with 4.4 times less memory"
)
_UNKNOWN = "ROCm {rocm} with PyTorch {torch}: nothing is known about this pair; rely on the measurements here"
_ALWAYS = (
    "ROCm: torch.compile failed in Triton, so --compile-model is not used; the separate flash-attention package does "
    "not build, and PyTorch's own kernels replace it"
)


@dataclass(frozen=True)
class Build:
    """A build of PyTorch.

    Attributes:
        torch: version of PyTorch, such as ``2.7.1+rocm6.3``.
        hip: version of HIP in a build for ROCm, such as ``6.3.42131-fa1d09cbd``, else None.
        cuda: version of CUDA in a build for CUDA, such as ``12.6``, else None.
    """

    torch: str
    hip: str | None = None
    cuda: str | None = None

    def __str__(self) -> str:
        platform = f"ROCm {self.hip}" if self.hip else f"CUDA {self.cuda}" if self.cuda else "CPU"
        return f"PyTorch {self.torch} built for {platform}"


def this_build() -> Build:
    """Return the build of the installed PyTorch."""
    import torch

    return Build(torch.__version__, torch.version.hip, torch.version.cuda)


def has_wrong_masks(build: Build) -> bool:
    """Return whether attention with a mask is known to be wrong: ROCm 6.2 with PyTorch 2.5 or 2.6."""
    return build.hip is not None and version(build.hip) == (6, 2) and version(build.torch) in {(2, 5), (2, 6)}


def known_facts(build: Build) -> list[str]:
    """Return sentences about a build for ROCm; none about other builds."""
    if build.hip is None:
        return []
    rocm, torch = version(build.hip), version(build.torch)
    if has_wrong_masks(build):
        text = _WRONG_MASKS
    elif rocm >= (6, 3) and torch >= (2, 7):
        text = _RIGHT_MASKS
    else:
        text = _UNKNOWN
    return [text.format(rocm=".".join(map(str, rocm)), torch=build.torch), _ALWAYS]


def version(text: str) -> tuple[int, int]:
    """Return the major and minor number of a version: ``6.2.41133-dd7f95766`` is (6, 2)."""
    match = re.match(r"(\d+)\.(\d+)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a version")
    return int(match[1]), int(match[2])
