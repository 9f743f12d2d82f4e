"""Strict JSON: duplicate keys and numbers beyond a float or 64 bits are errors. Standard library only."""

from __future__ import annotations

import json
import math
from reprlib import repr as short
from typing import Any

from aam_models.errors import ModelError

MAX_DIGITS = 20  # of an integer below 2^63, with its sign


def parse_strict_json(text: str, file: str) -> Any:
    """Parse JSON without duplicate keys, NaN, infinities, and numbers beyond a float or 64 bits.

    Args:
        file: named in errors.

    Raises:
        ModelError: the text is not valid JSON.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key, value in items:
            if key in content:
                raise ModelError(f"{file}: duplicate key {short(key)}")
            content[key] = value
        return content

    def constant(name: str) -> Any:
        raise ModelError(f"{file}: {name} is not allowed")

    def number(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            raise ModelError(f"{file}: {short(digits)[1:-1]} is too large")
        return value

    def integer(digits: str) -> int:
        if len(digits) > MAX_DIGITS or abs(int(digits)) >= 2**63:
            raise ModelError(f"{file}: {short(digits)[1:-1]} is too large")
        return int(digits)

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number, parse_int=integer)
    except ModelError:
        raise
    except RecursionError as error:
        raise ModelError(f"{file}: not valid JSON (nested too deep)") from error
    except ValueError as error:
        raise ModelError(f"{file}: not valid JSON ({error})") from error
