"""Checks of option values; each message names the flag. Standard library only."""

from __future__ import annotations

import math
import re
from pathlib import PurePath

from aam_data.options.base import require

MAX_PASSES = 100  # fixed draws of a sample whose outputs are averaged
MAX_NUMBER = 1e15  # any number of an option, in absolute value
MAX_WHOLE = 10**12  # any whole number of an option other than a seed
MAX_SEED = 2**63 - 1
MAX_SHOWN = 100  # characters of a value in a message
_CUDA = re.compile(r"cuda:[0-9]{1,3}")


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
    require(0 <= seed <= MAX_SEED, f"{flag} {seed}: must be between 0 and 2^63 - 1")


def check_device(device: str) -> None:
    """Raise ValueError unless the value of ``--device`` names a device."""
    known = device in ("auto", "cpu", "cuda") or _CUDA.fullmatch(device)
    require(bool(known), f"--device {shortened(device)}: must be auto, cpu, cuda or cuda:N, with N up to 999")


def check_passes(flag: str, passes: int) -> None:
    """Raise ValueError unless the number of prediction passes is between 1 and 100."""
    require(1 <= passes <= MAX_PASSES, f"{flag} {passes}: must be between 1 and {MAX_PASSES}")


def check_value(flag: str, value: object) -> None:
    """Raise ValueError for a value that no option can have: beyond any quantity, or text that no file can hold."""
    if isinstance(value, tuple):
        for item in value:
            check_value(flag, item)
    elif isinstance(value, float):
        require(abs(value) <= MAX_NUMBER, f"{flag} {value:g}: must be at most {MAX_NUMBER:g}")
    elif isinstance(value, int):
        limit = MAX_SEED if flag.endswith("seed") else MAX_WHOLE
        require(abs(value) <= limit, f"{flag} {shortened(value)}: must be at most {limit:,}")
    elif isinstance(value, str | PurePath):
        text = str(value)
        require("\0" not in text, f"{flag} {shortened(text)}: has a NUL character. Remove it")


def shortened(value: object) -> str:
    """Return a value for a message, without its middle if it is long."""
    text = str(value) if not isinstance(value, int) or abs(value) < 10**100 else "(a number of more than 100 digits)"
    return text if len(text) <= MAX_SHOWN else f"{text[:40]}...{text[-20:]}"
