"""Lists of sample ids in a text file: one id per line, for parts of a split and for the rows of a .npy matrix."""

from __future__ import annotations

from pathlib import Path

from aam_data.errors import DataError
from aam_data.notes import Note
from aam_data.readers.delimited import BLANKS, decode_text, lines_of
from aam_data.readers.ids import check_ids
from aam_data.readers.metadata.id_column import is_id_header
from aam_data.readers.source import first_bytes_of_text, read_bounded

_MAX_BYTES = 1 << 26  # of a list; millions of ids


def read_id_list(path: Path, flag: str) -> list[str]:
    """Read the ids in a file passed with ``flag``, in their order, without blank lines; ids are unique.

    The first id may be the header of the list: see ``without_header``.

    Raises:
        DataError: no text, more than 64 MB, several columns, ids that appear twice or contain control characters.
    """
    text = decode_text(read_bounded(path, first_bytes_of_text(path, flag), _MAX_BYTES, _too_large), path)
    numbered = [(number, line.strip(BLANKS)) for number, line in enumerate(lines_of(text), 1)]
    ids = [line for _, line in numbered if line]
    if columns := [f"row {number}" for number, line in numbered if "\t" in line]:
        remedy = "Keep the column of ids: cut -f 1 FILE"
        raise DataError(
            "several columns, expected one id per line",
            code="split-list-columns",
            file=path,
            offenders=columns,
            remedy=remedy,
        )
    check_ids(ids, "sample", path)
    return ids


def _too_large(path: Path, n_bytes: int, max_bytes: int) -> DataError:
    problem = f"{n_bytes / 1e6:,.0f} MB or more, a list of ids has at most {max_bytes / 1e6:,.0f} MB"
    return DataError(problem, code="file-too-large", file=path, remedy="Pass a text file with one id per line")


def without_header(ids: list[str], path: Path) -> tuple[list[str], list[Note]]:
    """Return the ids of a list without its first line if that is a header for ids, and a note about it.

    Call it only if no sample has the name in the first line.
    """
    if ids and is_id_header(ids[0]):
        what = f"{path.name}: the first line, {ids[0]}, is a header and was not read as a sample"
        return ids[1:], [Note("ids-header-skipped", what)]
    return ids, []
