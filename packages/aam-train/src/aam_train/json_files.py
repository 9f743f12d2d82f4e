"""JSON files: strict, complete or absent, with undefined numbers as null."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aam_data.output_files import replacing
from aam_models.config_json import strict_json
from aam_models.errors import ModelError


def json_line(content: Any) -> str:
    """One line of JSON; NaN (a metric that is undefined) becomes null."""
    return json.dumps(_without_nan(content), allow_nan=False) + "\n"


def write_json(path: Path, content: Any) -> None:
    """An indented JSON file, written beside its place and renamed."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(_without_nan(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a model or run folder; absent or damaged ones are refused."""
    if not file.is_file():
        raise ModelError(f"{file.parent}: not a folder of AAM (it has no {file.name})")
    content = strict_json(file.read_text(encoding="utf-8"), str(file))
    if not isinstance(content, dict):
        raise ModelError(f"{file}: expected a JSON object")
    return content


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
