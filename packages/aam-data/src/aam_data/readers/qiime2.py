"""QIIME 2 artifacts: a folder named by a UUID with ``metadata.yaml`` and ``data/``, in a zip (.qza) or in a cache.

Layout after qiime2/core/archive (archive versions 0 to 6 share the parts read here). Readers of text get the
content of their file from ``read_content``, so that a plain file, a gzip and an artifact are one case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aam_data.errors import DataError
from aam_data.readers.safe.zip import open_zip
from aam_data.readers.source import (
    ZIP_MAGIC,
    files_below,
    first_bytes,
    is_cache_entry,
    is_uuid4,
    read_bounded,
    sha256_of,
    too_large,
)

# Semantic type (without properties) -> file under data/ with the payload.
_PAYLOAD_OF_TYPE = {
    "FeatureTable[Frequency]": "feature-table.biom",
    "FeatureTable[RelativeFrequency]": "feature-table.biom",
    "FeatureTable[PresenceAbsence]": "feature-table.biom",
    "FeatureTable[Composition]": "feature-table.biom",
    "FeatureData[Sequence]": "dna-sequences.fasta",
    "FeatureData[AlignedSequence]": "aligned-dna-sequences.fasta",
    "Phylogeny[Rooted]": "tree.nwk",
    "Phylogeny[Unrooted]": "tree.nwk",
    "DistanceMatrix": "distance-matrix.tsv",
    "ImmutableMetadata": "metadata.tsv",
    "SampleData[AlphaDiversity]": "alpha-diversity.tsv",
    "FeatureData[Taxonomy]": "taxonomy.tsv",
}
_PROPERTIES = re.compile(r"\s*%\s*Properties\([^)]*\)")


@dataclass(frozen=True)
class Provenance:
    """Origin of an input: path as passed, SHA-256, and for an artifact its UUID and type."""

    path: str
    sha256: str
    uuid: str | None = None
    type: str | None = None


@dataclass(frozen=True)
class Artifact:
    """Payload of an artifact, with its UUID and semantic type (including properties)."""

    payload: bytes
    uuid: str
    type: str


class _Archive(Protocol):
    """Files by name, in a zip archive or a folder."""

    names: tuple[str, ...]

    def read(self, name: str) -> bytes: ...


class _CacheEntry:
    """Entry of a QIIME 2 cache; its files have the names that they would have in an archive."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._root = path, path.resolve()
        names = files_below(self._root)
        size = sum((self._root / name).stat().st_size for name in names)
        if size > max_bytes:
            raise too_large(path, size, max_bytes)
        self.names = tuple(f"{self._root.name}/{name}" for name in names)

    def read(self, name: str) -> bytes:
        if name not in self.names:
            raise DataError("missing from the cache entry", code="file-missing", file=self._path, place=name)
        try:
            return (self._root.parent / name).read_bytes()
        except OSError as error:
            raise DataError(
                f"cannot be read: {error.strerror}", code="file-unreadable", file=self._path, place=name
            ) from error


def open_artifact(
    path: Path, expected: tuple[str, ...], max_bytes: int, *, remedies: Mapping[str, str] | None = None
) -> Artifact:
    """Read the payload of an artifact of one of the ``expected`` semantic types.

    Args:
        path: a .qza, or an entry of a QIIME 2 cache.
        expected: semantic types without properties.
        max_bytes: maximum size of the content.
        remedies: specific remedies for other types.

    Raises:
        DataError: not an artifact, one of another type, or an archive that ``open_zip`` rejects.
    """
    with _open_archive(path, max_bytes) as archive:
        root, kind = _root_and_type(archive, path)
        if kind == "Visualization":
            problem = f"a visualization (.qzv), which contains plots; expected {' or '.join(expected)}"
            raise DataError(
                problem, code="file-wrong-artifact", file=path, remedy="Pass the artifact (.qza) that it was made from"
            )
        plain = _without_properties(kind)
        if plain not in expected:
            problem = f"expected {' or '.join(expected)}, got {kind}"
            raise DataError(problem, code="file-wrong-artifact", file=path, remedy=(remedies or {}).get(plain))
        return Artifact(archive.read(f"{root}/data/{_PAYLOAD_OF_TYPE[plain]}"), root, kind)


def is_artifact(path: Path, start: bytes) -> bool:
    """Return whether ``open_artifact`` reads this file; ``start`` is from ``first_bytes``."""
    return start.startswith(ZIP_MAGIC) or is_cache_entry(path)


def read_content(path: Path, flag: str, expected: tuple[str, ...], max_bytes: int) -> bytes:
    """Read the file passed to ``flag``: the payload of an artifact, the content of a gzip, or the file itself."""
    start = first_bytes(path, flag)
    if is_artifact(path, start):
        return open_artifact(path, expected, max_bytes).payload
    return read_bounded(path, start, max_bytes)


def identify(path: Path) -> Provenance:
    """Return the provenance of a file that a reader has accepted."""
    if is_artifact(path, first_bytes(path, "the command")):
        with _open_archive(path, max_bytes=1 << 62) as archive:  # the reader has applied its limit
            if _root(archive) is not None:
                return Provenance(str(path), sha256_of(path), *_root_and_type(archive, path))
    return Provenance(str(path), sha256_of(path))


@contextmanager
def _open_archive(path: Path, max_bytes: int) -> Iterator[_Archive]:
    if is_cache_entry(path):
        yield _CacheEntry(path, max_bytes)
    else:
        with open_zip(path, max_bytes) as archive:
            yield archive


def _root(archive: _Archive) -> str | None:
    """Return the one folder of an artifact, None if the archive is something else."""
    roots = {name.split("/", 1)[0] for name in archive.names if not name.startswith(".")}
    return roots.pop() if len(roots) == 1 and is_uuid4(min(roots)) else None


def _root_and_type(archive: _Archive, path: Path) -> tuple[str, str]:
    root = _root(archive)
    if root is None:
        raise DataError(
            "not a QIIME 2 artifact: expected one folder named by a UUID, found",
            code="file-not-an-artifact",
            file=path,
            offenders=sorted({name.split("/", 1)[0] for name in archive.names}) or ["nothing"],
            remedy="If it is a plain zip archive, unpack it and pass the file inside",
        )
    if not archive.read(f"{root}/VERSION").startswith(b"QIIME 2\n"):
        problem = "not a QIIME 2 artifact: the first line is not QIIME 2"
        raise DataError(problem, code="file-not-an-artifact", file=path, place=f"{root}/VERSION")
    fields = {}
    for line in archive.read(f"{root}/metadata.yaml").decode("utf-8", errors="replace").split("\n"):
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip().strip("'\"")
    if fields.get("uuid") != root or "type" not in fields:
        problem = "not a QIIME 2 artifact: no type, or not the UUID of the folder"
        raise DataError(problem, code="file-not-an-artifact", file=path, place=f"{root}/metadata.yaml")
    return root, fields["type"]


def _without_properties(kind: str) -> str:
    """Strip the properties of a type, as in FeatureTable[Frequency % Properties('...')] of rarefied tables."""
    return _PROPERTIES.sub("", kind).strip()
