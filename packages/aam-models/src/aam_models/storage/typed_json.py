"""Values of parsed JSON as Python values of declared types: dataclasses with exactly their fields, and plain types.

Standard library only.
"""

from __future__ import annotations

import dataclasses
import math
from reprlib import repr as short
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from aam_models.errors import ModelError, first_few

MAX_INTEGER = 2**53  # in a float field: larger ones are not exact
_C = TypeVar("_C")


def read_record(cls: type[_C], data: Any, place: str, *, undefined: bool = False) -> _C:
    """Return a dataclass from a JSON object that has exactly its fields.

    Args:
        place: file and key, for errors.
        undefined: whether null is an undefined number (NaN), as in records of metrics.

    Raises:
        ModelError: missing or unknown keys, values of another type, or values that the dataclass refuses.
    """
    if not isinstance(data, dict):
        raise ModelError(f"{place}: expected a JSON object, got {short(data)}")
    hints = get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if missing := [name for name in names if name not in data]:
        raise ModelError(f"{place}: missing keys: {first_few(missing)}")
    if unknown := [short(key)[1:-1] for key in data if key not in names]:
        raise ModelError(f"{place}: unknown keys: {first_few(unknown)}")
    values = {name: _value(hints[name], data[name], f"{place}.{name}", undefined) for name in names}
    try:
        return cls(**values)
    except ModelError as error:
        raise ModelError(f"{place}: {error}") from error


def read_value(kind: Any, value: Any, place: str) -> Any:
    """Return a parsed JSON value as the annotated type ``kind``; raises as `read_record` does."""
    return _value(kind, value, place, undefined=False)


def _value(kind: Any, value: Any, place: str, undefined: bool) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return read_record(kind, value, place, undefined=undefined)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        (inner,) = (arm for arm in arguments if arm is not NoneType)
        return None if value is None else _value(inner, value, place, undefined)
    if origin is Literal:
        if value not in arguments:
            raise ModelError(f"{place}: {short(value)} is not one of {', '.join(map(str, arguments))}")
        return value
    if origin in (tuple, list):
        if not isinstance(value, list):
            raise ModelError(f"{place}: expected a list, got {short(value)}")
        return origin(_value(arguments[0], item, place, undefined) for item in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise ModelError(f"{place}: expected a JSON object, got {short(value)}")
        places = {key: f"{place}.{short(key)[1:-1]}" for key in value}
        return {key: _value(arguments[1], item, places[key], undefined) for key, item in value.items()}
    if kind is float:
        if undefined and value is None:
            return math.nan
        if type(value) is int and abs(value) <= MAX_INTEGER:
            return value if undefined else float(value)  # records come back exactly as they were
    if type(value) is not kind:  # not isinstance: a bool is not a number
        raise ModelError(f"{place}: expected {kind.__name__}, got {short(value)}")
    return value
