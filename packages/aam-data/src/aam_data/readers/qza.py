"""QIIME 2 artifacts (.qza): a zip with one folder named by a UUID, holding ``metadata.yaml`` and ``data/``.

Layout after qiime2/core/archive (archive versions 0 to 6 share what is read here). The readers of text take
the content of their file through ``read_content``, so that a plain file, a gzip and an artifact are one case.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from aam_data.errors import DataError
from aam_data.readers.source import ZIP_MAGIC, first_bytes, read_bounded, sha256_of
from aam_data.readers.zip_guard import CheckedZip, open_zip

# Semantic type (without properties) -> the file under data/ that holds the payload.
_PAYLOAD_OF_TYPE = {
    "FeatureTable[Frequency]": "feature-table.biom",
    "FeatureData[Sequence]": "dna-sequences.fasta",
    "FeatureData[AlignedSequence]": "aligned-dna-sequences.fasta",
    "Phylogeny[Rooted]": "tree.nwk",
    "Phylogeny[Unrooted]": "tree.nwk",
    "DistanceMatrix": "distance-matrix.tsv",
    "ImmutableMetadata": "metadata.tsv",
}


@dataclass(frozen=True)
class Provenance:
    """Where an input came from: its path as given, SHA-256, and UUID and type if it is an artifact."""

    path: str
    sha256: str
    uuid: str | None = None
    type: str | None = None


@dataclass(frozen=True)
class Artifact:
    """The payload of an artifact, with the artifact's UUID and semantic type (properties included)."""

    payload: bytes
    uuid: str
    type: str


def open_artifact(path: Path, expected: tuple[str, ...], max_bytes: int) -> Artifact:
    """Read the payload of an artifact of one of the ``expected`` semantic types.

    Raises:
        DataError: not an artifact, one of another type, or an archive that ``open_zip`` refuses.
    """
    with open_zip(path, max_bytes) as archive:
        root, kind = _root_and_type(archive, path)
        if kind == "Visualization":
            remedy = "Give the artifact (.qza) that it was made from"
            raise DataError("a visualization (.qzv) holds pictures, not data", file=path, remedy=remedy)
        plain = _without_properties(kind)
        if plain not in expected:
            raise DataError(f"expected {' or '.join(expected)}, got {kind}", file=path)
        return Artifact(archive.read(f"{root}/data/{_PAYLOAD_OF_TYPE[plain]}"), root, kind)


def read_content(path: Path, flag: str, expected: tuple[str, ...], max_bytes: int) -> bytes:
    """The content of the file given to ``flag``: an artifact's payload, a gzip's content, or the file."""
    start = first_bytes(path, flag)
    if start.startswith(ZIP_MAGIC):
        return open_artifact(path, expected, max_bytes).payload
    return read_bounded(path, start, max_bytes)


def identify(path: Path) -> Provenance:
    """Provenance of a file that a reader has accepted."""
    with path.open("rb") as stream:
        is_zip = stream.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    if is_zip:
        with open_zip(path, max_bytes=1 << 62) as archive:  # the reader has applied its limit
            if _root(archive) is not None:
                return Provenance(str(path), sha256_of(path), *_root_and_type(archive, path))
    return Provenance(str(path), sha256_of(path))


def _root(archive: CheckedZip) -> str | None:
    """The one folder of an artifact, None when the archive is something else."""
    roots = {name.split("/", 1)[0] for name in archive.names if not name.startswith(".")}
    return roots.pop() if len(roots) == 1 and _is_uuid(min(roots)) else None


def _root_and_type(archive: CheckedZip, path: Path) -> tuple[str, str]:
    root = _root(archive)
    if root is None:
        raise DataError(
            "not a QIIME 2 artifact: expected one folder named by a UUID, found",
            file=path,
            offenders=sorted({name.split("/", 1)[0] for name in archive.names}) or ["nothing"],
        )
    if not archive.read(f"{root}/VERSION").startswith(b"QIIME 2\n"):
        problem = "not a QIIME 2 artifact: the first line is not QIIME 2"
        raise DataError(problem, file=path, place=f"{root}/VERSION")
    fields = {}
    for line in archive.read(f"{root}/metadata.yaml").decode("utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip().strip("'\"")
    if fields.get("uuid") != root or "type" not in fields:
        problem = "not a QIIME 2 artifact: no type, or not the UUID of the folder"
        raise DataError(problem, file=path, place=f"{root}/metadata.yaml")
    return root, fields["type"]


def _without_properties(kind: str) -> str:
    return kind.split(" % ", 1)[0].strip()


def _is_uuid(text: str) -> bool:
    try:
        return uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text
    except ValueError:
        return False
