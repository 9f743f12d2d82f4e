"""The rows ``#q2:types`` and ``#q2:missing`` of a metadata file.

Rules after qiime2/metadata/io.py: they are directly under the header, each at most once. Other directives, which
QIIME 2 rejects, are skipped with a note, so that files of its future versions can be read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from aam_data.errors import DataError
from aam_data.notes import Note
from aam_data.readers.delimited import Row

PREFIX = "#q2:"
_ACCEPTED = {
    "types": ("", "categorical", "numeric"),  # in any case
    "missing": ("", "blank", "no-missing", "INSDC:missing"),
}


@dataclass(frozen=True)
class Directives:
    """Declarations of a file about its columns; lists are as long as the header.

    Attributes:
        types: ``"categorical"``, ``"numeric"`` or ``""`` (not declared).
        missing: ``"blank"``, ``"no-missing"``, ``"INSDC:missing"`` or ``""``.
        notes: notes about rows that were skipped.
    """

    types: list[str]
    missing: list[str]
    notes: tuple[Note, ...] = ()

    def without_first(self) -> Directives:
        """Return the declarations without that about the first column."""
        return replace(self, types=self.types[1:], missing=self.missing[1:])


def parse_directives(rows: list[Row], width: int, path: Path) -> Directives:
    """Parse the rows that start with ``#q2:``.

    Args:
        rows: these rows, with as many cells as the header.
        width: number of cells of the header.

    Raises:
        DataError: a directive that appears twice, or declares something unknown.
    """
    declared: dict[str, list[str]] = {}
    notes = []
    for row in rows:
        name = _name(row)
        if name not in _ACCEPTED:
            what = f"{path.name}: row {row.line}, the directive {PREFIX}{name} is not known and was skipped"
            notes.append(Note("metadata-directive-unknown", what, "warning"))
            continue
        if name in declared:
            raise DataError(
                f"the directive {PREFIX}{name} appears twice",
                code="metadata-directives",
                file=path,
                place=f"row {row.line}",
            )
        declared[name] = _values(row, name, path)
    nothing = [""] * width
    return Directives(declared.get("types", nothing), declared.get("missing", nothing), tuple(notes))


def raise_if_misplaced(rows: list[Row], path: Path) -> None:
    """Raise DataError for directives above the header or among the data, which would be easy to overlook."""
    if rows:
        raise DataError(
            "directives that are not directly under the header",
            code="metadata-directives",
            file=path,
            offenders=[f"row {row.line}: {PREFIX}{_name(row)}" for row in rows],
            remedy="Move them under the header",
        )


def _name(row: Row) -> str:
    """Return the name of a directive: ``types`` for ``#q2:types`` and ``#q2:types for QIIME 2``."""
    return row.cells[0].removeprefix(PREFIX).partition(" ")[0]


def _values(row: Row, name: str, path: Path) -> list[str]:
    values = ["", *(cell.lower() if name == "types" else cell for cell in row.cells[1:])]
    accepted = _ACCEPTED[name]
    unknown = [value for value in values if value not in accepted]
    if unknown:
        remedy = f"Use {', '.join(accepted[1:])} or an empty cell"
        place = f"row {row.line} ({PREFIX}{name})"
        raise DataError(
            "unknown values", code="metadata-directives", file=path, place=place, offenders=unknown, remedy=remedy
        )
    return values
