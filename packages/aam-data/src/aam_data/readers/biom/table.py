"""Tables of counts: BIOM 2.1 (HDF5), BIOM 1.0 (JSON) and tab-separated text, plain, in gzip, or in an artifact.

The format follows from the first bytes, never from the file's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from aam_data.errors import DataError
from aam_data.readers.biom.checks import cells_of, check_fractions
from aam_data.readers.biom.hdf5 import read_hdf5_table
from aam_data.readers.biom.json_format import read_json_table
from aam_data.readers.biom.tsv import read_tsv_table
from aam_data.readers.qiime2 import Provenance, identify, is_artifact, open_artifact
from aam_data.readers.source import HDF5_MAGIC, byte_limit, first_bytes, read_bounded
from aam_data.table import CountTable

_COUNTS = ("FeatureTable[Frequency]",)
_NO_COUNTS = ("FeatureTable[RelativeFrequency]", "FeatureTable[PresenceAbsence]", "FeatureTable[Composition]")
_UTF8, _UTF16 = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")  # byte order marks
_SNIFFED = 1024
_NOT_TEXT = bytes(code for code in range(32) if code not in b"\t\n\r\f")


@dataclass(frozen=True)
class TableFile:
    """A table of counts, where it came from, and sentences about what of the file is not in it."""

    table: CountTable
    provenance: Provenance
    notes: tuple[str, ...] = ()


def read_table(path: Path, *, max_input_gb: float = 8.0, relative_abundance: bool = False) -> TableFile:
    """Read a feature table; samples and features keep the order of the file.

    Args:
        path: BIOM 2.1, BIOM 1.0 or tab-separated text, each of them plain or in gzip; a FeatureTable artifact.
        max_input_gb: most content to accept.
        relative_abundance: accept fractions, and artifacts of them. They are float64 (``table.is_integer`` is False);
            whole counts are integers.

    Raises:
        DataError: none of these formats; links or storage outside of the file; more content than ``max_input_gb``;
            inconsistent row pointers, numbers of samples or features out of range or twice in a sample; cells that
            are no numbers; counts that are negative, not finite, fractions or too large to be exact; ids that are
            empty, twice or not UTF-8.
    """
    max_bytes = byte_limit(max_input_gb)
    start = first_bytes(path, "--table")
    notes: tuple[str, ...] = ()
    if start.startswith(HDF5_MAGIC):
        table = read_hdf5_table(path, path, max_bytes)
    else:
        if is_artifact(path, start):
            content = table_payload(path, max_bytes, relative_abundance=relative_abundance)
        else:
            content = read_bounded(path, start, max_bytes)
        if not content:
            raise DataError("the table in it is empty", file=path, remedy="Write or copy the file again")
        if content.startswith(HDF5_MAGIC):
            table = read_hdf5_table(BytesIO(content), path, max_bytes)
        elif _is_json(content):
            table = read_json_table(content, path, max_bytes)
        elif content.startswith(_UTF16):
            raise DataError("not UTF-8 text", file=path, remedy="Save it as UTF-8")
        elif _is_text(content):
            table, notes = read_tsv_table(content, path)
        else:
            remedy = "Give --table a BIOM file, a tab-separated table or a FeatureTable[Frequency] artifact"
            raise DataError("not a BIOM file", file=path, remedy=remedy)
    if not relative_abundance:
        check_fractions(table.data.counts, lambda positions: cells_of(table, positions), path)
    elif table.is_integer:
        notes += ("--relative-abundance: the table holds whole numbers, which are used as they are",)
    else:
        notes += ("the table holds fractions, not reads, so it cannot be rarefied",)
    return TableFile(table, identify(path), notes)


def table_payload(path: Path, max_bytes: int, *, relative_abundance: bool) -> bytes:
    """The BIOM file in an artifact of counts or, with ``relative_abundance``, of what may be fractions."""
    expected = _COUNTS + _NO_COUNTS if relative_abundance else _COUNTS
    remedy = "Give the table of counts, or accept it with --relative-abundance"
    return open_artifact(path, expected, max_bytes, remedies=dict.fromkeys(_NO_COUNTS, remedy)).payload


def _is_json(content: bytes) -> bool:
    return content[:_SNIFFED].removeprefix(_UTF8).lstrip().startswith(b"{")


def _is_text(content: bytes) -> bool:
    head = content[:_SNIFFED]
    return len(head.translate(None, _NOT_TEXT)) == len(head) and (b"\t" in head or head.isascii())
