"""Numbers in words."""

from __future__ import annotations

import pytest

from aam_train.reporting.numbers import short


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.51234, 3, "0.512"),
        (283.6, 2, "280"),
        (1310.4, 3, "1,310"),
        (-1234567.0, 3, "-1,230,000"),
        (0.00001234, 2, "1.2e-05"),
        (float("nan"), 3, "nan"),
    ],
)
def test_large_numbers_have_no_exponent(value: float, digits: int, text: str) -> None:
    assert short(value, digits) == text
