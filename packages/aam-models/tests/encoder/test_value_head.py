"""Standardized values and their own units."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aam_models.encoder.value_head import ValueHead
from aam_models.errors import ModelError

VALUES = torch.tensor([3.0, 10.0, torch.nan, 7.5, 4.25], dtype=torch.float64)


def calibrated() -> ValueHead:
    head = ValueHead(6).double()
    head.calibrate(VALUES)
    return head


def test_calibration_takes_mean_and_spread_of_the_known_values() -> None:
    head, known = calibrated(), np.array([3.0, 10.0, 7.5, 4.25])
    assert head.mean.item() == pytest.approx(known.mean(), rel=1e-12)
    assert head.spread.item() == pytest.approx(known.std(), rel=1e-12)


def test_standardized_values_have_mean_0_and_spread_1_and_come_back() -> None:
    head, known = calibrated(), VALUES[torch.isfinite(VALUES)]
    standardized = head.standardize(known)
    assert standardized.mean().item() == pytest.approx(0, abs=1e-12)
    assert standardized.std(correction=0).item() == pytest.approx(1, rel=1e-12)
    torch.testing.assert_close(head.restore(standardized), known, rtol=1e-12, atol=0)
    assert head.standardize(VALUES).isnan().tolist() == VALUES.isnan().tolist()


def test_values_that_are_all_equal_come_back_too() -> None:
    head = ValueHead(6).double()
    head.calibrate(torch.full((5,), 12.5, dtype=torch.float64))
    assert torch.equal(head.standardize(torch.tensor([12.5])), torch.zeros(1, dtype=torch.float64))
    assert torch.equal(head.restore(torch.zeros(1)), torch.tensor([12.5], dtype=torch.float64))


def test_output_is_a_linear_map_of_the_embedding() -> None:
    head, x = calibrated(), torch.randn(4, 6, dtype=torch.float64)
    expected = (head.linear.weight[0] * x).sum(dim=1) + head.linear.bias
    torch.testing.assert_close(head(x), expected, rtol=1e-10, atol=1e-12)


def test_calibration_needs_a_known_value() -> None:
    with pytest.raises(ModelError, match="none of 2 training samples"):
        ValueHead(6).calibrate(torch.full((2,), torch.nan))
