"""Does attention give the right numbers on this machine?

Compares what ``scaled_dot_product_attention`` chooses by itself with its plain ``math`` backend, with and without
masks, forward and backward. Some PyTorch builds for ROCm are wrong with masks: on ROCm 6.2 with PyTorch 2.5 and 2.6
outputs differ by about 1.7; builds of PyTorch 2.7 and later for ROCm 6.3 agree to 1e-6.

Run it as ``python -m aam_rocm_tools.attention_diagnostic`` or ``aam-rocm attention-diagnostic``.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]

# Largest difference allowed, relative to the largest value of the reference: a few rounding errors of the type.
TOLERANCES = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}
_SHAPES = {"bases of ASVs": (64, 4, 101, 32), "ASVs of samples": (8, 4, 333, 32)}  # [B, heads, length, width of a head]
_SEED = 0


@dataclass(frozen=True)
class Case:
    """One comparison: ``shape`` [B, heads, length, head width]; ``masked`` hides the ends of some sequences."""

    name: str
    shape: tuple[int, int, int, int]
    dtype: torch.dtype
    masked: bool

    def __str__(self) -> str:
        mask = "mask" if self.masked else "no mask"
        return f"{self.name}, {str(self.dtype).removeprefix('torch.')}, {mask}"


@dataclass(frozen=True)
class Result:
    """Largest differences from the reference, relative to its largest value; NaN where the output has NaN."""

    case: Case
    forward: float
    backward: float

    @property
    def passed(self) -> bool:
        tolerance = TOLERANCES[self.case.dtype]
        return self.forward <= tolerance and self.backward <= tolerance  # NaN is not


def default_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """What a model gets when it asks for nothing."""
    return scaled_dot_product_attention(query, key, value, attn_mask=mask)


def math_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """The reference: matrix products and a softmax, nothing fused."""
    with sdpa_kernel(SDPBackend.MATH):
        return scaled_dot_product_attention(query, key, value, attn_mask=mask)


def find_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is a GPU if there is one.

    Raises:
        ValueError: not auto, cpu, cuda or cuda:N, or no such GPU on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if re.fullmatch(r"cpu|cuda(:\d+)?", name) is None:
        raise ValueError(f"{name} is not one of auto, cpu, cuda, cuda:N")
    device = torch.device(name)
    n_gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= n_gpus:
        raise ValueError(f"{name}: PyTorch sees {n_gpus} GPUs here")
    return device


def cases(device: torch.device) -> Iterator[Case]:
    """Both attention levels of an encoder, with and without a mask; half precision on GPUs that have it."""
    dtypes = [torch.float32]
    if device.type == "cuda":
        dtypes.append(torch.float16)
        if torch.cuda.is_bf16_supported():
            dtypes.append(torch.bfloat16)
    for dtype in dtypes:
        for name, shape in _SHAPES.items():
            for masked in (False, True):
                yield Case(name, shape, dtype, masked)


def compare(case: Case, device: torch.device, attention: Attention = default_attention) -> Result:
    """Outputs and gradients of ``attention`` against ``math_attention`` in float32, from the same numbers."""
    generator = torch.Generator().manual_seed(_SEED)
    inputs = torch.randn(4, *case.shape, generator=generator).to(device, case.dtype)
    mask = _padding_mask(case.shape, device) if case.masked else None
    output, gradient = _run(attention, inputs, mask)
    wanted_output, wanted_gradient = _run(math_attention, inputs.float(), mask)
    return Result(case, _difference(output, wanted_output), _difference(gradient, wanted_gradient))


def _run(attention: Attention, inputs: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Output [B, heads, length, width], and the gradients of query, key and value [3, ...] for a random output's."""
    query, key, value = (tensor.clone().requires_grad_() for tensor in inputs[:3])
    output = attention(query, key, value, mask)
    gradients = torch.autograd.grad(output, (query, key, value), inputs[3])
    return output.detach(), torch.stack(gradients)


def _padding_mask(shape: tuple[int, int, int, int], device: torch.device) -> torch.Tensor:
    """bool [B, 1, 1, length], true at valid keys: lengths from a third of the longest to all of it."""
    n_sequences, _, length, _ = shape
    lengths = torch.linspace(length // 3, length, n_sequences).long()
    return (torch.arange(length) < lengths[:, None])[:, None, None, :].to(device)


def _difference(actual: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((actual.float() - wanted).abs().max() / wanted.abs().max())


def report(results: list[Result], device: torch.device) -> str:
    """What was compared, one line a case, and a verdict."""
    lines = [_environment(device), "", f"{'case':<36} {'forward':>9} {'backward':>9} {'allowed':>9}"]
    for result in results:
        numbers = f"{result.forward:>9.1e} {result.backward:>9.1e} {TOLERANCES[result.case.dtype]:>9.1e}"
        lines.append(f"{result.case!s:<36} {numbers}  {'ok' if result.passed else 'WRONG'}")
    wrong = sum(not result.passed for result in results)
    lines += ["", f"{wrong} of {len(results)} comparisons are wrong." if wrong else "Attention is right here."]
    if wrong:
        lines.append("Do not train with this PyTorch on this device. On ROCm, use PyTorch 2.7 or later for ROCm 6.3.")
    return "\n".join(lines)


def _environment(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    built_for = "CPU"
    if torch.version.hip:
        built_for = f"ROCm {torch.version.hip}"
    elif torch.version.cuda:
        built_for = f"CUDA {torch.version.cuda}"
    return f"{device} ({name}), PyTorch {torch.__version__} built for {built_for}"


if __name__ == "__main__":
    from aam_rocm_tools.main import attention_diagnostic

    attention_diagnostic()
