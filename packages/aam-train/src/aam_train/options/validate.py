"""Checks of option values; each message names the flag. Standard library only."""

from __future__ import annotations

import math

from aam_data.options.base import require


def positive(flag: str, value: float) -> None:
    require(math.isfinite(value) and value > 0, f"{flag} {value}: must be a number above 0")


def not_negative(flag: str, value: float) -> None:
    require(math.isfinite(value) and value >= 0, f"{flag} {value}: must be a number of 0 or more")


def share(flag: str, value: float) -> None:
    require(0 < value < 1, f"{flag} {value}: must be above 0 and below 1")
