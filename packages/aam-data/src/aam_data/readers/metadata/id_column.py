"""Search for the column of sample ids in a metadata file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection
from pathlib import Path

from aam_data.errors import DataError
from aam_data.notes import Note

ACCEPTED = "id, sampleid, sample-id, sample_name, #SampleID, ..."  # for messages
_NAMES = {"id", "sampleid", "samplename", "featureid", "otuid"}
_IGNORED = re.compile(r"[#\s_-]")
_MIN_OVERLAP = 0.5  # share of sample ids that identifies the first column if its header does not


def is_id_header(name: str) -> bool:
    """Return whether QIIME 2 reserves the name for ids (qiime2/metadata/base.py), in any spelling: ``sample_id``."""
    return _IGNORED.sub("", name).lower() in _NAMES


def find_id_column(
    header: list[str],
    values: Callable[[int], list[str]],
    path: Path,
    id_column: str | None,
    sample_ids: Collection[str],
) -> tuple[int, list[Note]]:
    """Find the column of sample ids.

    In this order: the column ``--id-column``; the first column, if it has a name for ids; the only other column with
    such a name; the first column, if half of its values are samples of the table, or if it has no name and there is
    one other column, as in QIIME 2's files of alpha diversity.

    Args:
        values: returns the values of a column, by position.
        id_column: the name passed by the user.
        sample_ids: ids of the table, empty if they are not to be used.

    Returns:
        The position, and notes if it is not obvious.

    Raises:
        DataError: no column meets any of these conditions.
    """
    position = _chosen(header, path, id_column)
    notes = list[Note]()
    if position is None:
        named = [i for i, name in enumerate(header) if is_id_header(name)]
        if named and (named[0] == 0 or len(named) == 1):
            position = named[0]
            if position > 0:
                what = f"{path.name}: ids are read from column {header[position]}, which is not the first"
                notes.append(Note("metadata-id-column-chosen", what, "warning"))
        elif holds_samples(values(0), sample_ids) and header[0] not in sample_ids:
            position = 0
            name = header[0] or "without a name"
            what = f"{path.name}: ids are read from the first column ({name}), which contains ids of the table"
            notes.append(Note("metadata-id-column-chosen", what, "warning"))
        elif not header[0] and len(header) == 2:
            position = 0
    if position is None:
        remedy = f"Name it with --id-column, or rename it to one of: {ACCEPTED}"
        like = [name for i, name in enumerate(header) if holds_samples(values(i), sample_ids)]
        if len(like) == 1 and like[0]:
            remedy = f"Column {like[0]} contains ids of the table: pass --id-column {shlex.quote(like[0])}"
        names = [name or "(no name)" for name in header]
        raise DataError(
            "no column of sample ids; columns", code="metadata-no-id-column", file=path, offenders=names, remedy=remedy
        )
    reserved = [name for i, name in enumerate(header) if i != position and is_id_header(name)]
    if reserved:
        what = f"{path.name}: ids are read from {header[position]}, not from {', '.join(reserved)}"
        notes.append(Note("metadata-id-column-chosen", what))
    return position, notes


def _chosen(header: list[str], path: Path, id_column: str | None) -> int | None:
    if id_column is None:
        return None
    if header.count(id_column) != 1:
        problem = f"no column {id_column}" if id_column not in header else f"several columns {id_column}"
        raise DataError(
            problem,
            code="metadata-no-id-column",
            file=path,
            offenders=header,
            remedy="Pass one of its columns to --id-column",
        )
    return header.index(id_column)


def holds_samples(values: list[str], sample_ids: Collection[str]) -> bool:
    """Return whether at least half of the values are samples of the table."""
    known = sum(value in sample_ids for value in values)
    return known > 0 and known >= _MIN_OVERLAP * len(values)
