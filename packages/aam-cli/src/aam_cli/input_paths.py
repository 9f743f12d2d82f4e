"""The files and folders that options name, looked at before a command imports what takes seconds to import."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from aam_data.errors import DataError, DataErrors
from aam_data.options.input_path import ReadsPath
from aam_data.readers.source import is_cache_entry, start_of_file, unreadable
from aam_train.options.toml import flag


def check_input_paths(config: object) -> None:
    """Raise DataError, or DataErrors, for the paths of a root config that do not exist or cannot be read."""
    errors = input_path_errors(config)
    if len(errors) > 1:
        raise DataErrors(errors)
    if errors:
        raise errors[0]


def input_path_errors(config: object) -> list[DataError]:
    """Return an error for each path that does not exist, is of the wrong kind or cannot be read."""
    errors = []
    for name, mark, path in input_paths(config):
        try:
            _check(path, mark, flag(name))
        except DataError as error:
            errors.append(error)
    return errors


def input_paths(config: object) -> Iterator[tuple[str, ReadsPath, Path]]:
    """Yield the name, the mark and the path of each option that is set and that `ReadsPath` marks."""
    for section_field in fields(config):  # type: ignore[arg-type]
        section: Any = getattr(config, section_field.name)
        hints = get_type_hints(type(section), include_extras=True)
        for field in fields(section):
            value = getattr(section, field.name)
            for mark in getattr(hints[field.name], "__metadata__", ()):
                if isinstance(mark, ReadsPath) and value is not None and mark.is_path(value):
                    yield field.name, mark, Path(value)


def _check(path: Path, mark: ReadsPath, option: str) -> None:
    if mark.kind == "file":
        if not is_cache_entry(path):
            start_of_file(path, option)
    elif mark.kind == "folder" or path.is_dir():
        _check_folder(path, option)
    else:
        start_of_file(path, option)


def _check_folder(path: Path, option: str) -> None:
    try:
        os.scandir(path).close()
    except OSError as error:
        raise unreadable(error, path, option, "folder") from error
