"""Reading back what was saved: exactly the keys and types that were written, nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aam_data.errors import DataError


def strict_fields(values: object, types: Mapping[str, Any], place: str) -> dict[str, Any]:
    """``values`` if it is a mapping with just the keys of ``types`` and values of these types.

    A float may be written as a whole number, is finite, and is returned as float; a bool is no number.

    Raises:
        DataError: naming every key that is missing, unknown or of a wrong type.
    """
    if not isinstance(values, dict):
        raise DataError(f"expected an object, found {type(values).__name__}", place=place)
    missing = [key for key in types if key not in values]
    unknown = [key for key in values if key not in types]
    wrong = [key for key, kind in types.items() if key in values and not _is(values[key], kind)]
    for problem, keys in (
        ("missing keys", missing),
        ("unknown keys", unknown),
        ("values of a wrong type", wrong),
    ):
        if keys:
            raise DataError(problem, place=place, offenders=keys)
    return {key: float(values[key]) if kind is float else values[key] for key, kind in types.items()}


def _is(value: object, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)
