"""Safe reader of numpy's .npy format (numpy.lib.format): checks before it allocates memory, and never unpickles.

The header is matched, not evaluated: numpy's own reader of damaged headers raises a dozen kinds of errors.
"""

from __future__ import annotations

import math
import re
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np

from aam_data.errors import DataError
from aam_data.readers.source import too_large

NPY_MAGIC = np.lib.format.MAGIC_PREFIX
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}  # size of the header length, by format version
_MAX_HEADER = 10_000  # as in numpy
# The header that numpy.save writes for arrays of one or two dimensions without named fields.
_HEADER = re.compile(
    rb"\{'descr': '([<>|=][a-zA-Z]\d{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \((?:(\d{1,18}), ?(\d{1,18})?)?\), \}\s*"
)


class _Header(NamedTuple):
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    dtype: np.dtype
    offset: int


def load_npy(content: bytes, path: Path, place: str | None) -> np.ndarray:
    """Return the array in ``content``, read-only; ``path`` and ``place`` name it in messages.

    Raises:
        DataError: not .npy, an array of Python objects or of more than two dimensions, or a shape that does not match
            the number of bytes.
    """
    header = _read_header(BytesIO(content), len(content), path, place)
    return np.ndarray(header.shape, header.dtype, content, header.offset, order=header.order)


def map_npy(path: Path, max_bytes: int) -> np.ndarray:
    """Map the array in a .npy file to memory, read-only.

    Raises:
        DataError: as ``load_npy``, or a file larger than ``max_bytes``.
    """
    size = path.stat().st_size
    if size > max_bytes:
        raise too_large(path, size, max_bytes)
    with path.open("rb") as stream:
        header = _read_header(stream, size, path, None)
    if header.offset == size:
        return np.empty(header.shape, header.dtype)  # nothing to map
    return np.memmap(path, header.dtype, mode="r", offset=header.offset, shape=header.shape, order=header.order)


def _read_header(stream: BinaryIO, size: int, path: Path, place: str | None) -> _Header:
    damaged = DataError(
        "not a .npy array of numbers or text, or a damaged one", code="file-damaged", file=path, place=place
    )
    start = stream.read(len(NPY_MAGIC) + 2)
    if start[:-2] != NPY_MAGIC or start[-2:] not in _LENGTH_BYTES:
        raise damaged
    length = int.from_bytes(stream.read(_LENGTH_BYTES[start[-2:]]), "little")
    match = _HEADER.fullmatch(stream.read(min(length, _MAX_HEADER + 1)))
    if match is None or length > _MAX_HEADER:
        raise damaged
    descr, is_fortran, *sizes = match.groups()
    shape = tuple(int(n) for n in sizes if n is not None)
    try:
        dtype = np.dtype(descr.decode())
    except (TypeError, ValueError) as error:
        raise damaged from error
    if dtype.hasobject:
        raise DataError(
            "an array of Python objects, which could run code when it is read",
            code="file-unsafe",
            file=path,
            place=place,
            remedy="Save it with a plain dtype: array.astype(float) for distances, array.astype(str) for ids",
        )
    declared, available = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if declared != available or max(shape, default=0) > size:  # the latter in arrays of no bytes
        problem = f"declares {declared:,} bytes of values, but {available:,} follow"
        raise DataError(problem, code="file-truncated", file=path, place=place, remedy="Copy the file again")
    return _Header(shape, "F" if is_fortran == b"True" else "C", dtype, stream.tell())
