"""Access to one input, a file or an entry of a QIIME 2 cache: existence, size limit, hash and gzip."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from aam_data.errors import DataError
from aam_data.readers.foreign.files import reject_foreign
from aam_data.readers.foreign.tables import reject_foreign_text

ZIP_MAGIC = b"PK\x03\x04"
GZIP_MAGIC = b"\x1f\x8b"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_BLOCK = 1 << 20
_HEAD = 1024  # bytes that show whether a file is one of another program
_HELD = 1 << 28  # unpacked bytes that are kept before the size of the others is known


def first_bytes(path: Path, flag: str) -> bytes:
    """Read the first 16 bytes of the file passed to ``flag``, which identify its format; none of a QIIME 2 cache entry.

    Raises:
        DataError: the file does not exist, is not a regular file, cannot be read, is empty, or is of a format that no
            reader accepts.
    """
    if is_cache_entry(path):
        return b""
    head = start_of_file(path, flag)
    if not head:
        raise DataError("file is empty", code="file-empty", file=path)
    reject_foreign(head, path)
    return head[:16]


def start_of_file(path: Path, flag: str) -> bytes:
    """Read the first 1,024 bytes of the file passed to ``flag``.

    Raises:
        DataError: the file does not exist, is not a regular file, or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            problem = "is a directory" if path.is_dir() else "is not a regular file"
            remedy = f"Pass an existing, readable file to {flag}"
            raise DataError(problem, code="file-not-regular", file=path, remedy=remedy)
        with path.open("rb") as stream:
            return stream.read(_HEAD)
    except OSError as error:
        raise unreadable(error, path, flag, "file") from error


def unreadable(error: OSError, path: Path, flag: str, what: str) -> DataError:
    """Create the error for a path that the system does not let us read; ``what`` the option ``flag`` expects."""
    return DataError(
        f"cannot be read: {error.strerror}",
        code="file-missing" if isinstance(error, FileNotFoundError) else "file-unreadable",
        file=path,
        remedy=f"Pass an existing, readable {what} to {flag}",
    )


def first_bytes_of_text(path: Path, flag: str) -> bytes:
    """Read the first bytes of a file that can only be text, plain or gzip; see ``first_bytes``.

    Raises:
        DataError: as ``first_bytes``, or a zip archive.
    """
    start = first_bytes(path, flag)
    if start.startswith(ZIP_MAGIC) or not start:
        problem = "is a zip archive, such as an Excel workbook or an artifact, not text"
        raise DataError(
            problem if start else "is a directory",
            code="file-foreign-format" if start else "file-not-regular",
            file=path,
            remedy=f"Pass a text file to {flag}",
        )
    return start


def is_cache_entry(path: Path) -> bool:
    """Return whether this is a folder named by a UUID, as in a QIIME 2 cache; it has the layout of an artifact."""
    return path.is_dir() and is_uuid4(path.resolve().name)


def is_uuid4(text: str) -> bool:
    """Return whether this is a random UUID in its usual spelling."""
    try:
        return uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text
    except ValueError:
        return False


def files_below(folder: Path) -> list[str]:
    """List all regular files in a folder by relative path, with ``/`` between its parts, sorted.

    Raises:
        DataError: an entry that is neither a file nor a folder, such as a link.
    """
    names, others = [], []
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            kind = path.lstat().st_mode
            if stat.S_ISREG(kind):
                names.append(path.relative_to(folder).as_posix())
            elif not stat.S_ISDIR(kind):
                others.append(path.relative_to(folder).as_posix())
    if others:
        raise DataError("neither files nor folders", code="file-not-regular", file=folder, offenders=sorted(others))
    return sorted(names)


def byte_limit(max_input_gb: float) -> int:
    """Convert ``--max-input-gb`` to bytes."""
    return int(max_input_gb * 1e9)


def too_large(path: Path, n_bytes: int, max_bytes: int, place: str | None = None) -> DataError:
    """Create the error for content that is, or declares to be, larger than ``--max-input-gb``."""
    size, limit = (f"{number / 1e9:,.3g} GB" for number in (n_bytes, max_bytes))
    return DataError(
        f"declares {'more than ' if size == limit else ''}{size} of content, the limit is {limit}",
        code="file-too-large",
        file=path,
        place=place,
        remedy="Raise --max-input-gb if the file is what you expect",
    )


def head_of_content(path: Path, start: bytes) -> bytes:
    """Read the first bytes of a plain or gzip file, unpacked; ``start`` is from ``first_bytes``."""
    if start.startswith(GZIP_MAGIC):
        return next(_unpacked(path, _HEAD), b"")
    with path.open("rb") as stream:
        return stream.read(_HEAD)


def read_bounded(
    path: Path, start: bytes, max_bytes: int, error: Callable[[Path, int, int], DataError] = too_large
) -> bytes:
    """Read a plain or gzip file of at most ``max_bytes`` of content; more is rejected before it is in memory.

    Args:
        path: the file.
        start: its first bytes, from ``first_bytes``.
        max_bytes: maximum size of the content.
        error: creates the error for more content, from the path, the least size and the maximum.

    Raises:
        DataError: a damaged gzip, more content, or a text of another program.
    """
    if start.startswith(GZIP_MAGIC):
        content = _gunzip(path, max_bytes, error)
        if content.startswith((ZIP_MAGIC, GZIP_MAGIC)):
            raise DataError(
                "is an archive packed again with gzip",
                code="file-foreign-format",
                file=path,
                remedy="Unpack it once: gunzip FILE",
            )
        reject_foreign(content[:_HEAD], path)
    else:
        size = path.stat().st_size
        if size > max_bytes:
            raise error(path, size, max_bytes)
        content = path.read_bytes()
    reject_foreign_text(content, path)
    return content


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file on disk; of a folder, that of the output of ``sha256sum`` for its files."""
    if path.is_dir():
        lines = "".join(f"{sha256_of(path / name)}  {name}\n" for name in files_below(path))
        return hashlib.sha256(lines.encode("utf-8", errors="surrogateescape")).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _gunzip(path: Path, max_bytes: int, error: Callable[[Path, int, int], DataError]) -> bytes:
    """Unpack a gzip file. Content beyond ``_HELD`` is counted before it is kept, so a bomb never fills the memory."""
    content = bytearray()
    for block in _unpacked(path):
        content += block
        if len(content) > min(max_bytes, _HELD):
            break
    else:
        return bytes(content)
    del content
    size = 0
    for block in _unpacked(path):
        size += len(block)
        if size > max_bytes:
            raise error(path, size, max_bytes)
    return b"".join(_unpacked(path))


def _unpacked(path: Path, block_size: int | None = None) -> Iterator[bytes]:
    try:
        with gzip.open(path) as stream:
            while block := stream.read(block_size or _BLOCK):
                yield block
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"damaged gzip file: {error}", code="file-damaged", file=path, remedy="Copy the file again"
        ) from error
