"""Marks of options that name files and folders to read. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True)
class ReadsPath:
    """Mark of an option whose value is the path of something that must exist before the command starts.

    Attributes:
        kind: what must be there.
        is_path: whether a value is a path; for options that accept other words too.

    Example:
        >>> @dataclass(frozen=True)
        ... class TableOptions:
        ...     table: Annotated[Path, ReadsPath("file")]
    """

    kind: Literal["file", "folder", "file or folder"]
    is_path: Callable[[str], bool] = lambda value: True


InputFile = Annotated[_T, ReadsPath("file")]
InputFolder = Annotated[_T, ReadsPath("folder")]
InputPath = Annotated[_T, ReadsPath("file or folder")]
