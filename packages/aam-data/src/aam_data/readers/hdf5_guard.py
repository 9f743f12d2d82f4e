"""HDF5 files opened only as far as they are harmless.

The library follows links to other files, loads filter plug-ins and allocates whatever a file declares. So the
file is walked by its links first, without following any; a dataset is checked before one value of it is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np

from aam_data.errors import DataError
from aam_data.readers.ids import decode_ids
from aam_data.readers.source import too_large

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}
_MAX_OBJECTS = 100_000
_MAX_DEFLATE_RATIO = 1100  # deflate cannot shrink below 1/1032 (zlib's technical details)
_MAX_ATTRIBUTE = 16


class CheckedHdf5:
    """An open HDF5 file whose links and declared sizes passed the checks of ``open_hdf5``.

    A dataset that is read is refused when its values lie in another file, behind filters other than gzip,
    lzf, shuffle and fletcher32, or when its stored bytes cannot expand to the declared ones.
    """

    def __init__(self, file: h5py.File, datasets: dict[str, h5py.Dataset], path: Path, max_bytes: int) -> None:
        self._file, self._datasets, self._path, self._max_bytes = file, datasets, path, max_bytes
        self.names = frozenset(datasets)

    def attribute(self, name: str) -> tuple[int, ...] | None:
        """A short list of whole numbers among the file's own attributes, None when it is absent."""
        with _reading(self._path, name):
            if name not in self._file.attrs:
                return None
            stored = self._file.attrs.get_id(name)
            if stored.dtype.kind not in "iu" or len(stored.shape) != 1 or stored.shape[0] > _MAX_ATTRIBUTE:
                raise DataError("expected a few whole numbers", file=self._path, place=f"attribute {name}")
            return tuple(int(value) for value in self._file.attrs[name])

    def numbers(self, name: str, *, ndim: int, kinds: str) -> np.ndarray:
        """A numeric dataset whose dtype kind is one of ``kinds`` (``"iu"`` whole, ``"iuf"`` any number)."""
        dataset = self._datasets[name]
        with _reading(self._path, name):
            _check_storage(dataset, self._path, name, self._max_bytes)
            if dataset.dtype.kind not in kinds or dataset.ndim != ndim:
                wanted = "numbers" if "f" in kinds else "whole numbers"
                found = f"{dataset.dtype} of {dataset.ndim}"
                problem = f"expected {wanted} of {ndim} dimension{'s' * (ndim > 1)}, found {found}"
                raise DataError(problem, file=self._path, place=name)
            return np.asarray(dataset[()], dtype=dataset.dtype.newbyteorder("="))

    def strings(self, name: str) -> np.ndarray:
        """A one-dimensional dataset of UTF-8 text, as an array of str objects."""
        dataset = self._datasets[name]
        raw: list[bytes] = []
        size = 0
        with _reading(self._path, name):
            _check_storage(dataset, self._path, name, self._max_bytes)
            if h5py.check_string_dtype(dataset.dtype) is None or dataset.ndim != 1:
                raise DataError("expected a list of strings", file=self._path, place=name)
            # Many entries may point at one string, which is at most as long as the file: a block stays bounded.
            at_once = min(max(self._max_bytes // self._file.id.get_filesize(), 64), 4096)
            for start in range(0, len(dataset), at_once):
                block = [bytes(value) for value in dataset[start : start + at_once]]
                size += sum(map(len, block))
                if size > self._max_bytes:
                    raise too_large(self._path, size, self._max_bytes, name)
                raw += block
        return decode_ids(raw, self._path, name)


@contextmanager
def open_hdf5(source: Path | BytesIO, path: Path, max_bytes: int) -> Iterator[CheckedHdf5]:
    """Open an HDF5 file, or one held in memory, for reading; ``path`` names it in messages.

    Raises:
        DataError: damaged or truncated; soft, external or user-defined links; datasets that declare more than
            ``max_bytes`` together.
    """
    with _reading(path, None):
        file = h5py.File(source, "r", locking="best-effort")
    with file:
        with _reading(path, None):
            datasets = _walk(file, path)
            declared = sum(_declared_bytes(dataset) for dataset in datasets.values())
        if declared > max_bytes:
            raise too_large(path, declared, max_bytes)
        yield CheckedHdf5(file, datasets, path, max_bytes)


def _walk(file: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """Every dataset by its path, through hard links only; each group is entered once (links may cycle)."""
    datasets: dict[str, h5py.Dataset] = {}
    seen = set()
    groups: list[tuple[str, h5py.Group]] = [("", file)]
    while groups:
        prefix, group = groups.pop()
        for name in group:
            place = f"{prefix}{name}"
            _check_link(group, name, path, place)
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if isinstance(item, h5py.Dataset):
                datasets[place] = item
            elif isinstance(item, h5py.Group) and address not in seen:
                groups.append((f"{place}/", item))
            seen.add(address)
            if len(seen) + len(datasets) > _MAX_OBJECTS:
                raise DataError(f"holds more than {_MAX_OBJECTS:,} objects", file=path)
    return datasets


def _check_link(group: h5py.Group, name: str, path: Path, place: str) -> None:
    try:
        link = group.get(name, getlink=True)
    except TypeError as error:
        raise DataError("a link of an unknown kind", file=path, place=place) from error
    if isinstance(link, h5py.ExternalLink):
        raise DataError(f"a link to another file, {link.filename}:{link.path}", file=path, place=place)
    if isinstance(link, h5py.SoftLink):
        raise DataError(f"a soft link to {link.path}", file=path, place=place)


def _declared_bytes(dataset: h5py.Dataset) -> int:
    return 0 if dataset.shape is None else math.prod(dataset.shape) * dataset.id.get_type().get_size()


def _check_storage(dataset: h5py.Dataset, path: Path, name: str, max_bytes: int) -> None:
    if dataset.shape is None:
        raise DataError("an empty dataspace", file=path, place=name)
    if dataset.is_virtual or dataset.external:
        raise DataError("its values are stored in another file", file=path, place=name)
    creation = dataset.id.get_create_plist()
    used = {creation.get_filter(i)[0] for i in range(creation.get_nfilters())}
    if unknown := sorted(used - _FILTERS):
        problem, remedy = "stored with unusual HDF5 filters", "Write the file again with gzip compression"
        raise DataError(problem, file=path, place=name, offenders=unknown, remedy=remedy)
    chunk = math.prod(dataset.chunks or ()) * dataset.id.get_type().get_size()
    if chunk > max_bytes:
        raise too_large(path, chunk, max_bytes, name)
    declared, stored = _declared_bytes(dataset), dataset.id.get_storage_size()
    if declared > _MAX_DEFLATE_RATIO * stored:
        problem = f"declares {declared:,} bytes, but the {stored:,} bytes in the file cannot hold them"
        raise DataError(problem, file=path, place=name, remedy="Copy the file again")


@contextmanager
def _reading(path: Path, place: str | None) -> Iterator[None]:
    """What the library raises on damaged bytes, as one kind of error."""
    try:
        yield
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        problem = "the file is truncated" if "truncated file" in str(error) else f"damaged HDF5 file: {error}"
        raise DataError(problem, file=path, place=place, remedy="Copy the file again") from error
