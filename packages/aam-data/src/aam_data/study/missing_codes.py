"""Numbers that look like codes for missing values: -999 among degrees, 9999 among ages."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

_CODE = re.compile(r"-?9{2,}|-1|-[78]{2,}")
_MIN_TIMES = 2  # that a code occurs


def missing_codes(values: np.ndarray) -> dict[str, int]:
    """Find values that occur at least twice, are written like a code, and are far outside of all other values.

    Far outside means beyond the others' range by more than that range, or below 0 if all others are above it.

    Args:
        values: float64 [B], NaN where missing.

    Returns:
        Number of occurrences of each code, by its text.
    """
    counts = Counter(values[np.isfinite(values)].tolist())
    codes = {value: n for value, n in counts.items() if n >= _MIN_TIMES and _CODE.fullmatch(f"{value:g}")}
    others = np.array([value for value in counts if value not in codes])
    if len(others) < 2:
        return {}
    low, high = float(others.min()), float(others.max())
    spread = high - low
    return {
        f"{value:g}": n
        for value, n in sorted(codes.items())
        if value > high + spread or value < low - spread or (value < 0 < low)
    }
