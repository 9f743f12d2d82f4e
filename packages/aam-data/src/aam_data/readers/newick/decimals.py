"""Decimal numbers from 0.0 to 9.99..., the usual branch lengths, of many pieces of a text at once."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_MAX_DECIMALS = 22  # 10^22 is the largest power of ten that float64 holds exactly
_POWERS = 10.0 ** np.arange(_MAX_DECIMALS + 1)
_LIMIT = 2.0**53  # below it float64 holds every integer
_DOT, _ZERO = ord("."), ord("0")


def parse_decimals(codes: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Parse pieces of one digit, a point and more digits; the values are those of ``float``.

    All digits together are an integer below 2^53. Its division by a power of ten is rounded once, as ``float`` rounds
    the text.

    Args:
        codes: uint8 bytes of the text.
        start, stop: int64 [k], ascending; piece i is ``codes[start[i]:stop[i]]``.

    Returns:
        float64 [k]; NaN for all other pieces.
    """
    size = stop - start
    parsed = np.full(len(start), np.nan)
    second = codes[np.minimum(start + 1, len(codes) - 1)]
    rows = np.flatnonzero((second == _DOT) & (size > 2) & (size <= _MAX_DECIMALS + 2) & (stop >= _MAX_DECIMALS))
    if len(rows) == 0:
        return parsed
    decimals = size[rows] - 2
    width = int(decimals.max())
    ones = codes[start[rows]] - _ZERO  # uint8, so that other bytes become 10 or more
    digits = sliding_window_view(codes, width)[stop[rows] - width] - _ZERO
    digits *= np.arange(width, 0, -1) <= decimals[:, None]  # not the point or another piece before the decimals
    integers = digits @ _POWERS[width - 1 :: -1] + ones * _POWERS[decimals]
    plain = (ones < 10) & (integers < _LIMIT)
    plain[np.flatnonzero(digits.ravel() > 9) // width] = False
    parsed[rows[plain]] = integers[plain] / _POWERS[decimals[plain]]
    return parsed
