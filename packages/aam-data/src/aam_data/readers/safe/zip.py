"""Safe reader of zip archives: in memory, never extracted.

Names, flags and declared sizes are checked before any member is inflated, actual sizes and checksums afterwards.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from aam_data.errors import DataError
from aam_data.readers.foreign.files import reject_foreign_zip
from aam_data.readers.source import too_large

_ENCRYPTED = 0x1
_MAX_RATIO = 300  # for members that are not small; distances, trees and sequences stay below 20
_SMALL = 10_000_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class CheckedZip:
    """Open archive whose members all passed the checks of ``open_zip``."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self._path = archive, path
        self.names = tuple(member.filename for member in archive.infolist() if not member.is_dir())

    def read(self, name: str) -> bytes:
        """Read a member.

        Raises:
            DataError: it is absent or damaged, or does not have the declared size.
        """
        if name not in self.names:
            raise DataError("missing from the archive", code="file-unexpected-content", file=self._path, place=name)
        declared = self._archive.getinfo(name).file_size
        try:
            with self._archive.open(name) as stream:
                content = stream.read(declared + 1)  # zipfile stops at the declared size, then checks the CRC
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise _damaged(self._path, str(error), name) from error
        if len(content) != declared:
            raise _damaged(self._path, f"{declared:,} bytes declared, {len(content):,} found", name)
        return content


@contextmanager
def open_zip(path: Path, max_bytes: int) -> Iterator[CheckedZip]:
    """Open an archive for reading in memory.

    Raises:
        DataError: not a zip file or a damaged one; a document of an office program; a member name that is absolute,
            contains ``..`` or appears twice; a symbolic link; an encrypted member; an unusual compression; members that
            would expand more than real data do; declared sizes above ``max_bytes``.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, struct.error, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise _damaged(path, str(error)) from error
    with archive:
        reject_foreign_zip(archive.namelist(), path)
        _check_members(archive.infolist(), path, max_bytes)
        yield CheckedZip(archive, path)


def _check_members(members: list[zipfile.ZipInfo], path: Path, max_bytes: int) -> None:
    names = [member.filename for member in members]
    findings = {
        "members without a name, at": [f"byte {m.header_offset:,}" for m in members if not m.filename],
        "member names that lead out of the archive": [name for name in names if _leads_out(name)],
        "member names that appear twice": [name for name, times in Counter(names).items() if times > 1],
        "symbolic links": [m.filename for m in members if stat.S_ISLNK(m.external_attr >> 16)],
        "encrypted members": [m.filename for m in members if m.flag_bits & _ENCRYPTED],
        "unusual compression of": [m.filename for m in members if m.compress_type not in _METHODS],
        f"members that expand more than {_MAX_RATIO}-fold": [m.filename for m in members if _explodes(m)],
    }
    for problem, offenders in findings.items():
        if offenders:
            remedy = "Nothing was read; make the archive again with the tool that wrote it"
            raise DataError(problem, code="file-unsafe", file=path, offenders=offenders, remedy=remedy)
    declared = sum(member.file_size for member in members)
    if declared > max_bytes:
        raise too_large(path, declared, max_bytes)


def _leads_out(name: str) -> bool:
    parts = PurePosixPath(name)
    return parts.is_absolute() or ".." in parts.parts or "\\" in name or ":" in name.split("/", 1)[0]


def _explodes(member: zipfile.ZipInfo) -> bool:
    return member.file_size > max(_SMALL, _MAX_RATIO * member.compress_size)


def _damaged(path: Path, detail: str, place: str | None = None) -> DataError:
    return DataError(
        f"damaged zip archive: {detail}", code="file-damaged", file=path, place=place, remedy="Copy the file again"
    )
