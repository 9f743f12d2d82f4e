"""One input: found, bounded in size, hashed, and out of its gzip. A file, or an entry of a QIIME 2 cache."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import uuid
import zlib
from pathlib import Path

from aam_data.errors import DataError

ZIP_MAGIC = b"PK\x03\x04"
GZIP_MAGIC = b"\x1f\x8b"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_BLOCK = 1 << 20


def first_bytes(path: Path, flag: str) -> bytes:
    """The first 16 bytes of the file given to ``flag``, which tell its format; none of a QIIME 2 cache entry.

    Raises:
        DataError: there is no such file, it is not a regular file, it cannot be read, or it is empty.
    """
    remedy = f"Give {flag} an existing file that you may read"
    if is_cache_entry(path):
        return b""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            problem = "is a directory" if path.is_dir() else "is not a regular file"
            raise DataError(problem, file=path, remedy=remedy)
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=path, remedy=remedy) from error
    if not start:
        raise DataError("file is empty", file=path)
    return start


def is_cache_entry(path: Path) -> bool:
    """Whether this is a folder named as those of a QIIME 2 cache are: by a UUID. It has the layout of an artifact."""
    return path.is_dir() and is_uuid4(path.resolve().name)


def is_uuid4(text: str) -> bool:
    """Whether this is a random UUID in its usual spelling."""
    try:
        return uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text
    except ValueError:
        return False


def files_below(folder: Path) -> list[str]:
    """Names of all regular files in a folder, ``/`` between their parts, sorted.

    Raises:
        DataError: something that is neither file nor folder, such as a link.
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
        raise DataError("neither files nor folders", file=folder, offenders=sorted(others))
    return sorted(names)


def byte_limit(max_input_gb: float) -> int:
    """``--max-input-gb`` in bytes."""
    return int(max_input_gb * 1e9)


def too_large(path: Path, n_bytes: int, max_bytes: int, place: str | None = None) -> DataError:
    """The refusal of content that is, or says it is, larger than ``--max-input-gb``."""
    return DataError(
        f"declares {n_bytes / 1e9:,.3g} GB of content, the limit is {max_bytes / 1e9:,.3g} GB",
        file=path,
        place=place,
        remedy="Raise --max-input-gb if the file is what you expect",
    )


def read_bounded(path: Path, start: bytes, max_bytes: int) -> bytes:
    """The content of a plain or gzip file, at most ``max_bytes`` of it; ``start`` is from ``first_bytes``."""
    if start.startswith(GZIP_MAGIC):
        return _gunzip(path, max_bytes)
    size = path.stat().st_size
    if size > max_bytes:
        raise too_large(path, size, max_bytes)
    return path.read_bytes()


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of the file as it is on disk; of a folder, that of what ``sha256sum`` prints of its files."""
    if path.is_dir():
        lines = "".join(f"{sha256_of(path / name)}  {name}\n" for name in files_below(path))
        return hashlib.sha256(lines.encode("utf-8", errors="surrogateescape")).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _gunzip(path: Path, max_bytes: int) -> bytes:
    content = bytearray()
    try:
        with gzip.open(path) as stream:
            while block := stream.read(_BLOCK):
                content += block
                if len(content) > max_bytes:
                    raise too_large(path, len(content), max_bytes)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"damaged gzip file: {error}", file=path, remedy="Copy the file again") from error
    return bytes(content)
