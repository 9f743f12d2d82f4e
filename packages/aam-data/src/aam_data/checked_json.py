"""Strict JSON: standard syntax, each key once, exactly the expected keys and types."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from aam_data.errors import DataError


def parse_json(text: str, *, file: Path | None = None, place: str | None = None, remedy: str | None = None) -> Any:
    """Parse standard JSON, in which each key of an object appears once.

    Args:
        text: the JSON.
        file, place: names of the source, for messages.
        remedy: for JSON with duplicate keys.

    Raises:
        DataError: damaged JSON, NaN or infinities, duplicate keys.
    """

    def reject_constant(name: str) -> NoReturn:
        raise DataError(
            f"{name} is not JSON",
            code="file-json-invalid",
            file=file,
            place=place,
            remedy="Write a finite number instead",
        )

    def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            twice = [ascii(key) for key, times in Counter(key for key, _ in pairs).items() if times > 1]
            raise DataError(
                "keys that appear more than once",
                code="file-json-invalid",
                file=file,
                place=place,
                offenders=twice,
                remedy=remedy,
            )
        return fields

    try:
        return json.loads(text, parse_constant=reject_constant, object_pairs_hook=unique_keys)
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        copy_again = None if file is None else "Copy the file again"
        raise DataError(
            f"not valid JSON: {error}", code="file-json-invalid", file=file, place=place, remedy=copy_again
        ) from error


def strict_fields(values: object, types: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Check that ``values`` is a mapping with exactly the keys of ``types`` and values of these types.

    A float may be written as an integer, must be finite, and is returned as float; a bool is not a number.

    Returns:
        The checked values.

    Raises:
        DataError: keys that are missing, unknown or of a wrong type; the message names all of them.
    """
    if not isinstance(values, dict):
        raise DataError(f"expected an object, found {type(values).__name__}", code="file-json-fields", place=place)
    missing = [key for key in types if key not in values]
    unknown = [key for key in values if key not in types]
    wrong = [key for key, kind in types.items() if key in values and not _is(values[key], kind)]
    for problem, keys in (
        ("missing keys", missing),
        ("unknown keys", unknown),
        ("values of a wrong type", wrong),
    ):
        if keys:
            raise DataError(problem, code="file-json-fields", place=place, offenders=keys)
    return {key: float(values[key]) if kind is float else values[key] for key, kind in types.items()}


def _is(value: object, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max  # false for NaN
    return isinstance(value, kind)
