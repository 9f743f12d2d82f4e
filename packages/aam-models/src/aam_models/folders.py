"""Folders that are complete or absent: written beside their place, digested, then renamed.

``manifest.json`` is written last and lists size and SHA-256 of every other file, and a digest of itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aam_models.config_json import strict_json
from aam_models.errors import ModelError

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields an empty temporary folder beside ``path``; on success it gets a manifest and becomes ``path``.

    Raises:
        FileExistsError: when ``path`` exists: published folders are never changed.
    """
    if path.exists():
        raise FileExistsError(f"{path}: exists already; published folders are never changed")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        (temporary / MANIFEST).write_text(_manifest_text(temporary), encoding="utf-8")
        for file in temporary.iterdir():
            _sync(file)
        temporary.chmod(0o755)
        _sync(temporary)
        temporary.rename(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
        ModelError: naming the file that is missing, was added or was changed.
    """
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise ModelError(f"{path}: not a model folder (it has no {MANIFEST})")
    content = strict_json(_read_text(manifest), str(manifest))
    if not isinstance(content, dict) or content.get("sha256") != _digest_of_files(content.get("files")):
        raise ModelError(f"{manifest}: the file was changed or is damaged. Copy the model folder again")
    files: dict[str, dict[str, Any]] = content["files"]
    present = {file.name for file in path.iterdir()} - {MANIFEST}
    if missing := sorted(set(files) - present):
        raise ModelError(f"{path}: missing: {', '.join(missing[:5])}. Copy the model folder again")
    if added := sorted(present - set(files)):
        raise ModelError(f"{path}: files that do not belong to the model: {', '.join(added[:5])}. Move them away")
    for name, expected in files.items():
        file = path / name
        if file.is_symlink() or not file.is_file():
            raise ModelError(f"{file}: not a plain file")
        if file.stat().st_size != expected["size"] or sha256(file) != expected["sha256"]:
            raise ModelError(f"{file}: the file was changed or is damaged. Copy the model folder again")


def _manifest_text(folder: Path) -> str:
    files = {
        file.name: {"size": file.stat().st_size, "sha256": sha256(file)}
        for file in sorted(folder.iterdir())
        if file.name != MANIFEST
    }
    return json.dumps({"files": files, "sha256": _digest_of_files(files)}, indent=2) + "\n"


def _digest_of_files(files: Any) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{file}: the file was changed or is damaged (not UTF-8 text)") from error


def _sync(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
