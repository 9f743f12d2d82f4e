"""JSON that is parsed strictly: duplicate keys and values beyond a float are errors. Standard library only."""

from __future__ import annotations

import json
import math
from typing import Any

from aam_models.errors import ModelError


def parse_strict_json(text: str, file: str) -> Any:
    """Parse JSON without duplicate keys, NaN, infinities and numbers beyond a float's range.

    Args:
        file: named in errors.

    Raises:
        ModelError: the text is not valid JSON.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key, value in items:
            if key in content:
                raise ModelError(f"{file}: duplicate key {key!r}")
            content[key] = value
        return content

    def constant(name: str) -> Any:
        raise ModelError(f"{file}: {name} is not allowed")

    def number(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            raise ModelError(f"{file}: {digits} is too large")
        return value

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number)
    except ModelError:
        raise
    except (ValueError, RecursionError) as error:  # ValueError: also for integers with thousands of digits
        raise ModelError(f"{file}: not valid JSON ({error})") from error
