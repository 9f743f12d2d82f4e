"""The kernels behind ``scaled_dot_product_attention``, by the names that ``aam --attn-implementation`` uses."""

from __future__ import annotations

import contextlib
import re
import warnings

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

# sdpa is PyTorch's own choice; cudnn is one of its choices on NVIDIA GPUs, for which AAM has no flag.
BACKENDS: dict[str, SDPBackend | None] = {
    "sdpa": None,
    "math": SDPBackend.MATH,
    "mem_efficient": SDPBackend.EFFICIENT_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


class BackendMissing(RuntimeError):
    """No such kernel for this device, type or mask; the message is PyTorch's reason."""


def attention(backend: str, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Compute attention with one backend.

    Args:
        backend: a key of ``BACKENDS``.
        query, key, value: [X, heads, length, width].
        mask: True where a key may be attended to, or None.

    Returns:
        The output, [X, heads, length, width].

    Raises:
        BackendMissing: PyTorch has no such kernel for these inputs.
    """
    kernel = BACKENDS[backend]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with contextlib.nullcontext() if kernel is None else sdpa_kernel(kernel):
                return scaled_dot_product_attention(query, key, value, attn_mask=mask)
        except RuntimeError as error:
            if re.search("No available kernel|No viable backend", str(error)) is None:
                raise
            reasons = [str(warning.message).split(" (Triggered")[0].strip() for warning in caught]
            raise BackendMissing(reasons[1] if len(reasons) > 1 else "PyTorch has no such kernel here") from error


def find_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is a GPU if there is one.

    Raises:
        ValueError: not auto, cpu, cuda or cuda:N, or no such GPU on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", name) is None:
        raise ValueError(f"{name} is not one of auto, cpu, cuda, cuda:N")
    device = torch.device(name)
    n_gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= n_gpus:
        raise ValueError(f"{name}: PyTorch sees {n_gpus} GPUs here")
    return device
