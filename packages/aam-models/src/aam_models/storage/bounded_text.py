"""Text files of models and runs, read within limits, whatever is in their place. Standard library only."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from aam_models.errors import ModelError

MAX_JSON, MAX_SETTINGS = 64_000_000, 1_000_000  # bytes; more is not a file that AAM wrote
_REMEDY = "The file was changed or is damaged. Restore it from a copy"


def read_bounded_text(file: Path, max_bytes: int = MAX_JSON, *, through_links: bool = False) -> str:
    """Read a regular file of UTF-8 text. No more than ``max_bytes`` are ever in memory.

    Args:
        file: the file.
        max_bytes: larger files are refused unread.
        through_links: whether the path itself may be a symbolic link.

    Raises:
        ModelError: a link, a device, a pipe or a folder; too large; not UTF-8.
        OSError: it does not exist or cannot be read.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if through_links else os.O_NOFOLLOW)
    try:
        descriptor = os.open(file, flags)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise ModelError(f"{file}: not a plain file. {_REMEDY}") from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ModelError(f"{file}: not a plain file. {_REMEDY}")
    with os.fdopen(descriptor, "rb") as stream:
        content = stream.read(max_bytes + 1) if status.st_size <= max_bytes else b""
    if status.st_size > max_bytes or len(content) > max_bytes:
        size = max(status.st_size, len(content))
        raise ModelError(f"{file}: {size:,} bytes; files of this kind have at most {max_bytes:,}. {_REMEDY}")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ModelError(f"{file}: line {line:,} is not UTF-8 text. {_REMEDY}") from error
