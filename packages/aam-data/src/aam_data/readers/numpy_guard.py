"""Arrays in numpy's .npy format (numpy.lib.format), checked before memory is taken for them; never unpickled."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path

import numpy as np

from aam_data.errors import DataError

NPY_MAGIC = np.lib.format.MAGIC_PREFIX
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def load_npy(content: bytes, path: Path, place: str | None) -> np.ndarray:
    """The array in ``content``; ``path`` and ``place`` name it in messages.

    Raises:
        DataError: not .npy, an array of Python objects, or a shape that does not go with the number of bytes.
    """
    stream = BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        shape, _, dtype = _HEADER_READERS[version](stream)
    except (ValueError, KeyError, EOFError) as error:
        raise DataError(f"damaged .npy array: {error}", file=path, place=place, remedy="Save it again") from error
    if dtype.hasobject:
        raise DataError(
            "an array of Python objects, which could run code when it is read",
            file=path,
            place=place,
            remedy="Save it with a plain dtype: array.astype(float) for distances, array.astype(str) for ids",
        )
    declared, found = math.prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if declared != found:
        problem = f"declares {declared:,} bytes of values, {found:,} follow"
        raise DataError(problem, file=path, place=place, remedy="Copy the file again")
    return np.load(BytesIO(content), allow_pickle=False)
