"""Rules for ids of samples and features, the same in every format."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from aam_data.errors import DataError

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # Unicode's categories Cc, Zl and Zp
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode_ids(raw: Iterable[bytes], file: Path, place: str) -> np.ndarray:
    """Decode UTF-8 bytes as an array of str objects.

    Raises:
        DataError: ids that are not UTF-8; the message shows their bytes.
    """
    ids, undecodable = [], []
    for value in raw:
        try:
            ids.append(value.decode("utf-8"))
        except UnicodeDecodeError:
            undecodable.append(ascii(value))
    if undecodable:
        raise DataError("not UTF-8", code="file-not-utf8", file=file, place=place, offenders=undecodable)
    return as_objects(ids)


def check_ids(ids: Sequence[str] | np.ndarray, what: str, file: Path, place: str | None = None) -> None:
    """Check the ids of one axis.

    Args:
        what: noun for the things that the ids name, for messages: ``"sample"``, ``"feature"``.

    Raises:
        DataError: ids that are empty, appear twice, or contain control characters (tab, line feed, NUL, separators
            of lines) or lone surrogates.
    """
    empty = [f"number {i + 1}" for i, value in enumerate(ids) if not value.strip()]
    if empty:
        raise DataError(f"empty {what} ids", code="ids-empty", file=file, place=place, offenders=empty)
    unencodable = [ascii(value) for value in ids if not value.isascii() and _SURROGATE.search(value)]
    if unencodable:
        raise DataError(
            f"{what} ids that are not Unicode text",
            code="ids-not-unicode",
            file=file,
            place=place,
            offenders=unencodable,
        )
    unprintable = [ascii(value) for value in ids if _CONTROL.search(value)]
    if unprintable:
        raise DataError(
            f"{what} ids with control characters",
            code="ids-control-characters",
            file=file,
            place=place,
            offenders=unprintable,
        )
    if len(set(ids)) < len(ids):
        twice = [value for value, times in Counter(ids).items() if times > 1]
        raise DataError(
            f"{what} ids that appear more than once", code="ids-duplicate", file=file, place=place, offenders=twice
        )


def as_objects(values: Sequence[object] | np.ndarray) -> np.ndarray:
    """Convert ``values`` to a one-dimensional object array."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
