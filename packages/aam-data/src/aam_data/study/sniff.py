"""Detection of a file's kind from its first lines, for `aam show` and for errors about files under the wrong flag."""

from __future__ import annotations

import zlib
from pathlib import Path

from aam_data.errors import DataError
from aam_data.readers.delimited import is_finite_number
from aam_data.readers.foreign.tables import profile_of_ids
from aam_data.readers.metadata.id_column import is_id_header
from aam_data.readers.qiime2 import identify, is_artifact
from aam_data.readers.source import GZIP_MAGIC, HDF5_MAGIC, first_bytes
from aam_data.study.feature_sequences import kind_of_ids

# Kind -> the flag that accepts it.
FLAGS = {
    "feature table": "--table",
    "metadata": "--metadata",
    "tree": "--tree",
    "sequences": "--sequences",
    "taxonomy": "--taxonomy",
    "distances": "--unifrac-matrix",
}
_KIND_OF_TYPE = {
    "FeatureTable": "feature table",
    "FeatureData[Sequence]": "sequences",
    "FeatureData[AlignedSequence]": "sequences",
    "Phylogeny": "tree",
    "DistanceMatrix": "distances",
    "ImmutableMetadata": "metadata",
    "SampleData[AlphaDiversity]": "alpha diversity",
    "FeatureData[Taxonomy]": "taxonomy",
}
_HEADERS = {
    ("sample-id", "split", "group"): "splits",
    ("sample-id", "target"): "predictions",
    ("sample-id", "prediction"): "predictions",
    ("SampleID", "prediction"): "predictions",  # as earlier versions wrote it
    ("feature", "importance"): "importance",
    ("sample-id", "D1"): "embeddings",
    ("feature-id", "D1"): "embeddings",
    ("feature id", "taxon"): "taxonomy",
    ("#otu id",): "feature table",
}
_HEAD = 1 << 16  # bytes to read


def kind_of_file(path: Path) -> str | None:
    """Detect the kind of a file from its first lines; None if they do not show it.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    start = first_bytes(path, "the command")
    if is_artifact(path, start):
        kind = identify(path).type or ""
        return next((own for name, own in _KIND_OF_TYPE.items() if kind.startswith(name)), None)
    if start.startswith(HDF5_MAGIC):
        return _kind_of_hdf5(path)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(GZIP_MAGIC):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _HEAD)
        except zlib.error:
            return None
    try:
        text = head.decode("utf-8-sig", errors="strict" if len(head) < _HEAD else "ignore")
    except UnicodeDecodeError:
        return None
    return _kind_of_text(text, path)


def wrong_flag(path: Path, flag: str) -> DataError | None:
    """Return an error if the file passed with ``flag`` clearly belongs to another flag; None otherwise.

    Artifacts state their type, which their readers check.
    """
    try:
        kind = None if is_artifact(path, first_bytes(path, flag)) else kind_of_file(path)
    except DataError:  # missing, empty or unreadable: its reader reports that
        return None
    right = None if kind is None else FLAGS.get(kind)
    if right is None or right == flag:
        return None
    expected = next(kind for kind, own in FLAGS.items() if own == flag)
    return DataError(
        f"looks like a {kind} file, not a {expected} file",
        code="option-wrong-file",
        file=path,
        remedy=f"Pass it with {right}",
    )


def _kind_of_hdf5(path: Path) -> str | None:
    """Detect the kind from the names in the root group, which libhdf5 writes into the file as plain text."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if b"observation" in head and b"sample" in head:
        return "feature table"
    return "distances" if b"order" in head else None


def _kind_of_text(text: str, path: Path) -> str | None:
    lines = [line for line in text.split("\n")[:200] if line.strip()]
    if not lines:
        return None
    first = lines[0].strip()
    if first.startswith(">"):
        return "sequences"
    if first.startswith("("):
        return "tree"
    if first.startswith("{"):
        return "feature table" if '"rows"' in text or '"columns"' in text else None
    if path.suffix == ".toml":
        return "settings"
    if first.startswith("# Constructed from biom"):
        return "feature table"
    delimiter = "\t" if "\t" in lines[0] else ","
    rows = [[cell.strip().strip('"') for cell in line.rstrip("\r").split(delimiter)] for line in lines]
    header = rows[0]
    if len(header) < 2:
        return None
    for known, kind in _HEADERS.items():
        if tuple(header[: len(known)]) == known or tuple(cell.lower() for cell in header[: len(known)]) == known:
            return kind
    if header[-1].lower().startswith("faith") and len(header) == 2:
        return "alpha diversity"
    if _is_square(header, rows[1:]):
        return "distances"
    if _counts_of_sequences(rows[1:]) or profile_of_ids([row[0] for row in rows[1:]]):
        return "feature table"
    return "metadata" if is_id_header(header[0]) else None


def _is_square(header: list[str], rows: list[list[str]]) -> bool:
    """Return whether rows have the names of the columns, in the same order, with a diagonal of zeros."""
    if not rows or len(header) < 3:
        return False
    shown = rows[: len(header) - 1]
    return all(
        len(row) > number + 1 and row[0] == header[number + 1] and row[number + 1] in ("0", "0.0", "0.00")
        for number, row in enumerate(shown)
    )


def _counts_of_sequences(rows: list[list[str]]) -> bool:
    """Return whether rows are DNA sequences or hashes followed by numbers only."""
    whole = rows[:-1] if len(rows) > 1 else rows  # the last one may be cut off
    numeric = all(len(row) > 1 and all(is_finite_number(cell) for cell in row[1:]) for row in whole)
    return bool(whole) and numeric and kind_of_ids([row[0] for row in whole]) != "opaque"
