"""Tables of counts: BIOM 2.1 (HDF5), BIOM 1.0 (JSON) and tab-separated text, plain, in gzip, or in an artifact.

The first bytes determine the format, never the file name.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from aam_data.errors import DataError
from aam_data.notes import Note
from aam_data.readers.biom.checks import cells_of, check_fractions
from aam_data.readers.biom.hdf5 import read_hdf5_table
from aam_data.readers.biom.json_format import json_limit, json_too_large, read_json_table
from aam_data.readers.biom.sums import check_no_sums
from aam_data.readers.biom.tsv import read_tsv_table
from aam_data.readers.foreign.tables import profile_error
from aam_data.readers.qiime2 import Provenance, identify, is_artifact, open_artifact
from aam_data.readers.source import HDF5_MAGIC, byte_limit, first_bytes, head_of_content, read_bounded
from aam_data.table import CountTable

_COUNTS = ("FeatureTable[Frequency]",)
_NO_COUNTS = ("FeatureTable[RelativeFrequency]", "FeatureTable[PresenceAbsence]", "FeatureTable[Composition]")
_UTF8, _UTF16 = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")  # byte order marks
_SNIFFED_BYTES = 1024
_NOT_TEXT = bytes(code for code in range(32) if code not in b"\t\n\r\f")


@dataclass(frozen=True)
class TableFile:
    """Table of counts, its origin, and notes about parts of the file that are not in it."""

    table: CountTable
    provenance: Provenance
    notes: tuple[Note, ...] = ()


def read_table(path: Path, *, max_input_gb: float = 8.0, relative_abundance: bool = False) -> TableFile:
    """Read a feature table; samples and features keep the order of the file.

    Args:
        path: BIOM 2.1, BIOM 1.0 or tab-separated text, each plain or in gzip; a FeatureTable artifact.
        max_input_gb: maximum size of the content.
        relative_abundance: accept fractions, and artifacts of them. They are float64 (``table.is_integer`` is False);
            whole counts are integers.

    Returns:
        The table with its origin and notes.

    Raises:
        DataError: none of these formats; links or storage outside the file; more content than ``max_input_gb``;
            inconsistent row pointers, numbers of samples or features out of range or twice in a sample; cells that
            are not numbers; counts that are negative, not finite, fractions or too large to be exact; ids that are
            empty, duplicate or not UTF-8.

    Example:
        >>> read_table(Path("table.biom")).table.n_samples
        24
    """
    max_bytes = byte_limit(max_input_gb)
    start = first_bytes(path, "--table")
    notes: tuple[Note, ...] = ()
    if start.startswith(HDF5_MAGIC):
        table = read_hdf5_table(path, path, max_bytes)
    else:
        if is_artifact(path, start):
            content = table_payload(path, max_bytes, relative_abundance=relative_abundance)
        else:
            content = _plain_content(path, start, max_bytes)
        if not content:
            raise DataError(
                "the table in this file is empty", code="file-empty", file=path, remedy="Write or copy the file again"
            )
        if content.startswith(HDF5_MAGIC):
            table = read_hdf5_table(BytesIO(content), path, max_bytes)
        elif _is_json(content):
            table, notes = read_json_table(content, path, max_bytes)
        elif content.startswith(_UTF16):
            raise DataError("not UTF-8 text", code="file-not-utf8", file=path, remedy="Save it as UTF-8")
        elif _is_text(content):
            table, notes = read_tsv_table(content, path)
        else:
            raise _no_table(content, path)
    check_no_sums(table, path)
    if not relative_abundance:
        if not table.is_integer and (profile := profile_error(table.feature_ids, path)):
            raise profile
        check_fractions(table.data.counts, lambda positions: cells_of(table, positions), path)
    elif table.is_integer:
        what = "--relative-abundance: the table contains whole numbers, which are used unchanged"
        notes += (Note("table-whole-numbers", what),)
    else:
        notes += (Note("table-fractions", "the table contains fractions, not reads, so it cannot be rarefied"),)
    return TableFile(table, identify(path), notes)


def _plain_content(path: Path, start: bytes, max_bytes: int) -> bytes:
    """Read a plain or gzip file; JSON, which becomes much larger in memory, is rejected before it is read."""
    if _is_json(head_of_content(path, start)):
        return read_bounded(path, start, json_limit(max_bytes), json_too_large)
    return read_bounded(path, start, max_bytes)


def table_payload(path: Path, max_bytes: int, *, relative_abundance: bool) -> bytes:
    """Read the BIOM file in an artifact of counts or, with ``relative_abundance``, of possible fractions."""
    expected = _COUNTS + _NO_COUNTS if relative_abundance else _COUNTS
    remedy = "Pass the table of counts, or accept it with --relative-abundance"
    return open_artifact(path, expected, max_bytes, remedies=dict.fromkeys(_NO_COUNTS, remedy)).payload


def _is_json(content: bytes) -> bool:
    return content[:_SNIFFED_BYTES].removeprefix(_UTF8).lstrip().startswith(b"{")


def _no_table(content: bytes, path: Path) -> DataError:
    """Create the error for content in no known format; text with NUL bytes, as from a damaged disk, is named."""
    if _is_text(content[:_SNIFFED_BYTES].replace(b"\0", b"")):
        problem, place = "text with NUL bytes", f"byte {content.index(0) + 1:,}"
        remedy = "It is damaged: copy or export the file again"
    else:
        problem, place = "not a BIOM file", None
        remedy = "Pass a BIOM file, a tab-separated table or a FeatureTable[Frequency] artifact to --table"
    return DataError(problem, code="table-format-unknown", file=path, place=place, remedy=remedy)


def _is_text(content: bytes) -> bool:
    head = content[:_SNIFFED_BYTES]
    return len(head.translate(None, _NOT_TEXT)) == len(head) and (b"\t" in head or head.isascii())
