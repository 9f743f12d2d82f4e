"""Numbers in words."""

from __future__ import annotations


def short(value: float, digits: int = 3) -> str:
    """Return a number with a few digits, without an exponent if it is large: ``"0.512"``, ``"1,310"``."""
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e+" in text else text
