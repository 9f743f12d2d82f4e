"""Folders that are complete or absent: written under a temporary name, digested, then renamed.

``manifest.json`` is written last and lists size and SHA-256 of every other file, and a digest of itself.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict, TypeGuard

from aam_models.errors import ModelError, first_few
from aam_models.storage.bounded_text import read_bounded_text
from aam_models.storage.strict_json import parse_strict_json

MANIFEST = "manifest.json"
_DAMAGED = "the file was changed or is damaged. Copy the model folder again"


class FileEntry(TypedDict):
    """The manifest's entry of a file."""

    size: int
    sha256: str


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Create a folder that appears only when it is complete.

    The temporary folder is next to ``path``; on success it gets a manifest and is renamed to ``path``.

    Args:
        path: the folder to publish.

    Yields:
        The temporary folder to write into.

    Raises:
        FileExistsError: ``path`` exists; published folders are never changed.

    Example:
        >>> with new_folder(Path("model")) as folder:
        ...     save_model(folder, encoder)
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "exists already; published folders are never changed", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    temporary.mkdir()  # not mkdtemp, which ignores the umask
    try:
        yield temporary
        (temporary / MANIFEST).write_text(_manifest_text(temporary), encoding="utf-8")
        for file in temporary.iterdir():
            _sync(file)
        _sync(temporary)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)  # a failure here must not hide the first one
        raise
    _sync(path.parent)


def write_pointer(pointer: Path, target: Path) -> None:
    """Make ``pointer`` a relative symbolic link to its sibling ``target``, replacing an older one atomically."""
    temporary = pointer.with_name(f".{pointer.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target.name)
    temporary.replace(pointer)
    _sync(pointer.parent)


def verify_folder(path: Path) -> None:
    """Check every file of a published folder against its manifest.

    Raises:
        ModelError: naming files that are missing, were added or were changed.
    """
    files = _read_manifest(path)
    present = {file.name for file in path.iterdir()} - {MANIFEST}
    if missing := sorted(set(files) - present):
        raise ModelError(f"{path}: missing: {first_few(missing)}. Copy the model folder again")
    if added := sorted(present - set(files)):
        raise ModelError(f"{path}: files that do not belong to the model: {first_few(added)}. Move them away")
    for name, expected in files.items():
        file = path / name
        if file.is_symlink() or not file.is_file():
            raise ModelError(f"{file}: not a plain file")
        if file.stat().st_size != expected["size"] or sha256(file) != expected["sha256"]:
            raise ModelError(f"{file}: {_DAMAGED}")


def _read_manifest(folder: Path) -> dict[str, FileEntry]:
    manifest = folder / MANIFEST
    if not os.path.lexists(manifest):
        raise ModelError(f"{folder}: not a model folder (it has no {MANIFEST})")
    if manifest.is_symlink() or not manifest.is_file():
        raise ModelError(f"{manifest}: not a plain file")
    content = parse_strict_json(read_bounded_text(manifest), str(manifest))
    if not isinstance(content, dict) or set(content) != {"files", "sha256"}:
        raise ModelError(f"{manifest}: {_DAMAGED}")
    files = content["files"]
    if not _is_file_list(files) or content["sha256"] != _digest_of_files(files):
        raise ModelError(f"{manifest}: {_DAMAGED}")
    return files


def _is_file_list(files: object) -> TypeGuard[dict[str, FileEntry]]:
    return isinstance(files, dict) and all(
        isinstance(entry, dict)
        and set(entry) == {"size", "sha256"}
        and type(entry["size"]) is int
        and isinstance(entry["sha256"], str)
        for entry in files.values()
    )


def _manifest_text(folder: Path) -> str:
    files: dict[str, FileEntry] = {
        file.name: {"size": file.stat().st_size, "sha256": sha256(file)}
        for file in sorted(folder.iterdir())
        if file.name != MANIFEST
    }
    return json.dumps({"files": files, "sha256": _digest_of_files(files)}, indent=2) + "\n"


def _digest_of_files(files: dict[str, FileEntry]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _sync(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
