"""JSON and TSV files: written atomically; JSON is strict, with undefined numbers as null."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from aam_data.writers.atomic import atomic_write
from aam_models.errors import ModelError
from aam_models.storage.strict_json import parse_strict_json

RecordT = TypeVar("RecordT")


def json_line(content: Any) -> str:
    """Return one line of JSON; numbers that are not finite (undefined metrics) become null."""
    return json.dumps(_finite(content), allow_nan=False) + "\n"


def write_json(path: Path, content: Any) -> None:
    """Write an indented JSON file atomically; numbers that are not finite become null."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(_finite(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json_object(file: Path) -> dict[str, Any]:
    """Read the JSON object in a file of a model or run folder.

    Raises:
        ModelError: the file is absent, damaged or not a JSON object.
    """
    if not file.is_file():
        raise ModelError(f"{file.parent}: not an AAM folder (it has no {file.name})")
    content = parse_strict_json(file.read_text(encoding="utf-8"), str(file))
    if not isinstance(content, dict):
        raise ModelError(f"{file}: expected a JSON object")
    return content


def as_record(content: dict[str, Any], cls: type[RecordT], file: Path) -> RecordT:
    """Return a dataclass from content read from ``file``; null in its dictionaries (undefined metrics) becomes NaN.

    Raises:
        ModelError: the keys are not the fields of ``cls``.
    """
    names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if wrong := sorted(names ^ content.keys()):
        raise ModelError(f"{file}: missing or unknown keys: {', '.join(wrong)}")
    return cls(**{name: _undefined_as_nan(value) for name, value in content.items()})


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _undefined_as_nan(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: math.nan if item is None else item for key, item in value.items()}


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a tab-separated file atomically."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, "excel-tab", lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
