"""JSON and TSV files: written atomically, read within limits; JSON is strict, with undefined numbers as null."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aam_data.writers.atomic import atomic_write
from aam_models.errors import ModelError
from aam_models.storage.bounded_text import read_bounded_text
from aam_models.storage.strict_json import parse_strict_json

MAX_LINE = 1_000_000  # bytes of a line of JSON; AAM writes less than a thousandth
_MAX_SKIPPED = 64_000_000  # bytes without an end of line; a file with more (a disk that was full, zeros) ends there


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
    content = parse_strict_json(read_bounded_text(file), str(file))
    if not isinstance(content, dict):
        raise ModelError(f"{file}: expected a JSON object")
    return content


def read_json_lines(file: Path) -> list[dict[str, Any] | None]:
    """Read a file of one JSON object per line, without an unfinished last line (of a killed program).

    Returns:
        An object for each line, None where the line is damaged; a line of more than 64 MB is the last one.
    """
    lines: list[dict[str, Any] | None] = []
    with file.open("rb") as stream:
        while line := stream.readline(MAX_LINE):
            is_whole, start = line.endswith(b"\n"), stream.tell()
            while line and not line.endswith(b"\n"):  # the rest of a line that is too long, or of the file
                if stream.tell() - start > _MAX_SKIPPED:
                    return [*lines, None]
                line = stream.readline(MAX_LINE)
            if line:
                lines.append(_object_of(line) if is_whole else None)
    return lines


def _object_of(line: bytes) -> dict[str, Any] | None:
    try:
        content = parse_strict_json(line.decode("utf-8"), "")
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a tab-separated file atomically."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, "excel-tab", lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
