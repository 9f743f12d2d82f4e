"""Smoke test of PyTorch in a container: moves a tensor to the device and runs one attention step on it.

``python -m aam_rocm_tools.containers.smoke_test [DEVICE]``: DEVICE is cpu by default. The exit status is 0 or 1.
"""

from __future__ import annotations

import sys

import torch
from torch.nn.functional import scaled_dot_product_attention


def smoke_test(device: str) -> str | None:
    """Return the problem, or None if the device works."""
    try:
        moved = torch.arange(8.0).to(device)
        if moved.cpu().tolist() != list(range(8)):
            return f"a tensor came back from {device} changed"
        query = torch.randn(2, 2, 16, 8, device=device, requires_grad=True)
        mask = torch.ones(2, 1, 1, 16, dtype=torch.bool, device=device)
        mask[1, ..., 8:] = False
        scaled_dot_product_attention(query, query, query, attn_mask=mask).sum().backward()
        assert query.grad is not None
        if not bool(query.grad.isfinite().all()):
            return f"gradients of attention on {device} are not finite"
    except (RuntimeError, AssertionError) as error:
        return f"{device}: {str(error).splitlines()[0]}"
    return None


if __name__ == "__main__":
    problem = smoke_test(sys.argv[1] if len(sys.argv) > 1 else "cpu")
    print(problem or f"PyTorch {torch.__version__} moves tensors and computes attention.")  # noqa: T201
    sys.exit(1 if problem else 0)
