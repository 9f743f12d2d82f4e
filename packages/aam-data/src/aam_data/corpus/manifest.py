"""The manifest of a corpus: its studies, and size and SHA-256 of every file.

The manifest alone says what belongs to a corpus. It is written last and replaced atomically, so that a reader sees the
corpus as it was before a study was added, or with the whole study. Folders are numbered: no name is part of a path.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from aam_data.checked_json import parse_json, strict_fields
from aam_data.errors import DataError, quoted
from aam_data.readers.qiime2 import Provenance
from aam_data.readers.source import sha256_of
from aam_data.writers.atomic import atomic_write

MANIFEST, FORMAT_VERSION = "manifest.json", 1
_MAX_MANIFEST = 64_000_000  # bytes; more is not a file that AAM wrote
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TABLE_FILES = ("sample-ids.npy", "indptr.npy", "indices.npy", "counts.npy", "depths.npy", "frame.json")
METADATA_FILE, TAXONOMY_FILE = "metadata.tsv", "taxonomy.tsv"
TREE_FILES = ("tip-start.npy", "tip-stop.npy", "branch-length.npy", "feature-tip.npy")
DICTIONARY_FILES = ("codes.npy", "lengths.npy", "keys.npy", "ambiguous-rows.npy", "ambiguous-letters.npy")
_STUDY_FILES = frozenset({*TABLE_FILES, METADATA_FILE, TAXONOMY_FILE, *TREE_FILES})
_DAMAGED = "Restore the file from a copy of the corpus"


@dataclass(frozen=True)
class FileFacts:
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Measure a file."""
        return cls(path.stat().st_size, sha256_of(path))


@dataclass(frozen=True)
class StudyFacts:
    """One study of a corpus.

    Attributes:
        number: of its folder, from 1.
        name: as given when it was added.
        samples, asvs, reads: what it has.
        shortest, longest: bases of its sequences.
        trim_length: bases to which sequences were trimmed; 0 = whole.
        frame: where its reads start on the gene, in words.
        types: types that its metadata declare, by column.
        columns: names of its metadata columns.
        inputs: the files that were read.
        notes: what was dropped, merged or cut.
        files: by name within the folder.
    """

    number: int
    name: str
    samples: int
    asvs: int
    reads: int
    shortest: int
    longest: int
    trim_length: int
    frame: str
    types: dict[str, str]
    columns: list[str]
    inputs: tuple[Provenance, ...]
    notes: list[str]
    files: dict[str, FileFacts]

    @property
    def folder(self) -> str:
        return f"study-{self.number:04d}"

    @property
    def has_tree(self) -> bool:
        return TREE_FILES[0] in self.files

    @property
    def has_taxonomy(self) -> bool:
        return TAXONOMY_FILE in self.files

    @property
    def members(self) -> str:
        """Name of the file in the dictionary's folder that numbers the study's ASVs."""
        return f"members-{self.number:04d}.npy"


@dataclass(frozen=True)
class Manifest:
    """All studies of a corpus and the dictionary of their sequences.

    Attributes:
        generation: number of the dictionary's folder, which every added study raises.
        asvs: sequences of the dictionary.
        dictionary: its files.
    """

    generation: int = 0
    asvs: int = 0
    dictionary: Mapping[str, FileFacts] = field(default_factory=dict)
    studies: tuple[StudyFacts, ...] = ()

    @property
    def dictionary_folder(self) -> str:
        return f"dictionary-{self.generation:04d}"

    def folders(self) -> dict[str, Mapping[str, FileFacts]]:
        """Return the files of each folder of the corpus."""
        if not self.studies:
            return {}
        return {self.dictionary_folder: self.dictionary, **{study.folder: study.files for study in self.studies}}

    def write(self, folder: Path) -> None:
        """Write the manifest over an older one, atomically."""
        content = {"format_version": FORMAT_VERSION, "kind": "corpus", **asdict(self)}
        with atomic_write(folder / MANIFEST) as temporary:
            text = json.dumps({**content, "sha256": _digest(content)}, indent=1, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def check_name(name: str) -> None:
    """Raise DataError unless a study may have this name."""
    if _NAME.fullmatch(name) is None:
        raise DataError(
            f"--name {quoted(name)}: a study is named by 1 to 64 letters of A-Z and a-z, digits and . _ -, the first "
            "one a letter or a digit",
            code="corpus-name",
        )


def is_corpus(folder: Path) -> bool:
    """Return whether a folder has the manifest of a corpus, of whatever version."""
    try:
        return '"kind": "corpus"' in _text(folder / MANIFEST)[:1000]
    except (OSError, DataError):
        return False


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a corpus.

    Raises:
        DataError: the folder is no corpus, of a newer format, or its manifest was changed.
    """
    file = folder / MANIFEST
    try:
        text = _text(file)
    except FileNotFoundError as error:
        raise DataError(
            f"not a corpus (it has no {MANIFEST})",
            code="corpus-not-found",
            file=folder,
            remedy="Make one with aam corpus add",
        ) from error
    content = parse_json(text, file=file, remedy=_DAMAGED)
    if not isinstance(content, dict) or content.get("kind") != "corpus":
        raise DataError("not the manifest of a corpus", code="corpus-not-found", file=file)
    version = content.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise DataError(
            f"format {quoted(version)}, but this version of AAM reads formats up to {FORMAT_VERSION}",
            code="corpus-newer-format",
            file=file,
            remedy="Use the version of AAM that made the corpus, or a newer one",
        )
    stored = content.pop("sha256", None)
    if stored != _digest(content):
        raise DataError("the file was changed or is damaged", code="corpus-damaged", file=file, remedy=_DAMAGED)
    return _manifest(content, str(file))


def _text(file: Path) -> str:
    with file.open("rb") as stream:
        content = stream.read(_MAX_MANIFEST + 1)
    try:
        return content[:_MAX_MANIFEST].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError("not UTF-8 text", code="corpus-damaged", file=file, remedy=_DAMAGED) from error


def _manifest(content: dict[str, Any], place: str) -> Manifest:
    types = {"format_version": int, "kind": str, "generation": int, "asvs": int, "dictionary": dict, "studies": list}
    checked = strict_fields(content, types, place)
    studies = tuple(_study(values, f"{place}: study {i}") for i, values in enumerate(checked["studies"], 1))
    allowed = {*DICTIONARY_FILES, *(study.members for study in studies)}
    dictionary = _files(checked["dictionary"], allowed, place)
    names, numbers = ({getattr(study, key) for study in studies} for key in ("name", "number"))
    if len(names) < len(studies) or len(numbers) < len(studies) or set(dictionary) != allowed:
        raise DataError("studies or files that contradict each other", code="corpus-damaged", file=place)
    return Manifest(checked["generation"], checked["asvs"], dictionary, studies)


def _study(values: object, place: str) -> StudyFacts:
    numbers = ("number", "samples", "asvs", "reads", "shortest", "longest", "trim_length")
    types: dict[str, Any] = {"name": str, "frame": str, **dict.fromkeys(numbers, int)}
    types |= {"types": dict, "columns": list, "inputs": list, "notes": list, "files": dict}
    checked = strict_fields(values, types, place)
    check_name(checked["name"])
    inputs = tuple(_provenance(each, place) for each in checked["inputs"])
    files = _files(checked["files"], _STUDY_FILES, place)
    texts = [*checked["columns"], *checked["notes"], *checked["types"].values()]
    negative = any(checked[name] < 0 for name in numbers) or checked["number"] < 1
    if negative or not all(isinstance(text, str) for text in texts) or not files.keys() >= set(TABLE_FILES):
        raise DataError("values that no study has", code="corpus-damaged", file=place)
    return StudyFacts(**checked | {"inputs": inputs, "files": files})


def _provenance(values: object, place: str) -> Provenance:
    types = {"path": str, "sha256": str, "uuid": str | None, "type": str | None}
    return Provenance(**strict_fields(values, types, place))


def _files(values: dict[str, object], allowed: set[str] | frozenset[str], place: str) -> dict[str, FileFacts]:
    if unknown := sorted(values.keys() - allowed):
        raise DataError("files that no corpus has", code="corpus-damaged", file=place, offenders=unknown)
    types = {"size": int, "sha256": str}
    return {name: FileFacts(**strict_fields(facts, types, f"{place}: {name}")) for name, facts in values.items()}


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """Check that all files are there and as long as they were written; see `aam_data.corpus.check` for digests.

    Raises:
        DataError: the first file that is not, with its study.
    """
    for name, files in manifest.folders().items():
        for file, facts in files.items():
            check_file(folder, manifest, name, file, facts)


def check_file(folder: Path, manifest: Manifest, name: str, file: str, facts: FileFacts) -> None:
    """Raise DataError unless a file of a corpus is a plain file of its size."""
    path = folder / name / file
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        is_there = os.path.lexists(path)
        raise damaged(path, manifest, name, "not a plain file" if is_there else "the file is missing")
    if path.stat().st_size != facts.size:
        size = f"{path.stat().st_size:,} bytes, where {facts.size:,} were written"
        raise damaged(path, manifest, name, size)


def damaged(path: Path, manifest: Manifest, name: str, problem: str) -> DataError:
    """Make the error about a file of the folder ``name`` of a corpus; it names the study."""
    study = next((study.name for study in manifest.studies if study.folder == name), None)
    whose = "the dictionary of sequences" if study is None else f"study {study}"
    return DataError(f"{problem} ({whose})", code="corpus-damaged", file=path, remedy=_DAMAGED)
