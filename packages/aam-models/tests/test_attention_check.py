"""The check at the start of a run on ROCm: correct attention passes, wrong attention does not."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from aam_models.attention_check import LIMITS, attention_error, attention_is_right

CPU = torch.device("cpu")
REAL = F.scaled_dot_product_attention


@pytest.mark.parametrize("dtype", LIMITS)
def test_attention_of_this_machine_is_right(dtype: torch.dtype) -> None:
    error = attention_error(CPU, dtype)
    assert torch.finfo(dtype).eps / 10 < error <= LIMITS[dtype]
    assert attention_is_right(CPU, dtype)


@pytest.mark.parametrize("gradients_only", [False, True])
def test_attention_that_is_wrong_with_a_mask_is_caught(monkeypatch: pytest.MonkeyPatch, gradients_only: bool) -> None:
    def broken(query, key, value, attn_mask=None):
        if attn_mask is None:
            return REAL(query, key, value)
        if gradients_only:
            return REAL(query, key.detach(), value, attn_mask) + 0 * key
        return REAL(query, key, value)

    monkeypatch.setattr(F, "scaled_dot_product_attention", broken)
    assert attention_error(CPU, torch.float32) > 0.1
    assert not attention_is_right(CPU, torch.float32)


def test_numbers_that_are_not_finite_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(query, key, value, attn_mask=None):
        return REAL(query, key, value, attn_mask) / 0

    monkeypatch.setattr(F, "scaled_dot_product_attention", broken)
    assert attention_error(CPU, torch.float32) != attention_error(CPU, torch.float32)
    assert not attention_is_right(CPU, torch.float32)
