"""Checks of option values; each message names the flag. Standard library only."""

from __future__ import annotations

import math

from aam_data.options.base import require


def positive(flag: str, value: float) -> None:
    """Raise ValueError unless the value is finite and above 0."""
    require(math.isfinite(value) and value > 0, f"{flag} {value}: must be a number above 0")


def not_negative(flag: str, value: float) -> None:
    """Raise ValueError unless the value is finite and at least 0."""
    require(math.isfinite(value) and value >= 0, f"{flag} {value}: must be a number of 0 or more")


def share(flag: str, value: float) -> None:
    """Raise ValueError unless the value is above 0 and below 1."""
    require(0 < value < 1, f"{flag} {value}: must be above 0 and below 1")


def at_least_one(flag: str, value: int) -> None:
    """Raise ValueError unless the value is at least 1."""
    require(value >= 1, f"{flag} {value}: must be 1 or more")


def check_seed(flag: str, seed: int) -> None:
    """Raise ValueError unless the value is a valid random seed."""
    require(0 <= seed < 2**63, f"{flag} {seed}: must be between 0 and 2^63 - 1")


def check_device(device: str) -> None:
    """Raise ValueError unless the value of ``--device`` names a device."""
    known = device in ("auto", "cpu", "cuda") or (device.startswith("cuda:") and device[5:].isdigit())
    require(known, f"--device {device}: must be auto, cpu, cuda or cuda:N")


def check_passes(flag: str, passes: int) -> None:
    """Raise ValueError unless the number of prediction passes is between 1 and 100."""
    require(1 <= passes <= 100, f"{flag} {passes}: must be between 1 and 100")
