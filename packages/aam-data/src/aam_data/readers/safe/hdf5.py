"""Safe reader of untrusted HDF5 files.

The library follows links to other files, loads filter plug-ins and allocates whatever a file declares. The links of a
file are therefore checked first, without following any, and each dataset before any of its values is read.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from aam_data.errors import DataError
from aam_data.readers.ids import decode_ids
from aam_data.readers.safe.hdf5_strings import read_strings
from aam_data.readers.source import too_large

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}
_MAX_OBJECTS = 100_000
_MAX_DEFLATE_RATIO = 1100  # deflate cannot shrink below 1/1032 (zlib's technical details)
_MAX_ATTRIBUTE = 16
_EVERYTHING = slice(None)


class CheckedHdf5:
    """Open HDF5 file whose links and declared sizes passed the checks of ``open_hdf5``.

    Reading a dataset is an error if its values are in another file or behind filters other than gzip, lzf, shuffle
    and fletcher32, or if its stored bytes cannot expand to the declared ones.
    """

    def __init__(
        self, file: h5py.File, datasets: dict[str, h5py.Dataset], stream: BinaryIO, path: Path, max_bytes: int
    ) -> None:
        self._file, self._datasets, self._stream = file, datasets, stream
        self._path, self._max_bytes = path, max_bytes
        self.names = frozenset(datasets)
        self._checked: set[str] = set()

    def attribute(self, name: str) -> tuple[int, ...] | None:
        """Return an integer, or a short list of them, among the file's own attributes; None if it is absent."""
        with _reading(self._path, name):
            if name not in self._file.attrs:
                return None
            stored = self._file.attrs.get_id(name)
            if stored.dtype.kind not in "iu" or math.prod(stored.shape) > _MAX_ATTRIBUTE:
                raise DataError(
                    "expected a few whole numbers",
                    code="file-unexpected-content",
                    file=self._path,
                    place=f"attribute {name}",
                )
            return tuple(int(value) for value in np.atleast_1d(self._file.attrs[name]).flat)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the declared size of a dataset along each dimension."""
        return tuple(self._datasets[name].shape or ())

    def chunk_rows(self, name: str) -> int:
        """Return the number of rows that are stored and read together; 1 if the dataset is contiguous."""
        chunks = self._datasets[name].chunks
        return int(chunks[0]) if chunks else 1

    def length(self, name: str) -> int:
        """Return the declared number of values of a one-dimensional dataset."""
        shape = self._datasets[name].shape
        if shape is None or len(shape) != 1:
            actual = "an empty dataspace" if shape is None else f"{len(shape)}"
            raise DataError(
                f"expected 1 dimension, found {actual}", code="file-unexpected-content", file=self._path, place=name
            )
        return int(shape[0])

    def numbers(self, name: str, *, ndim: int, kinds: str, rows: slice = _EVERYTHING) -> np.ndarray:
        """Read a numeric dataset whose dtype kind is one of ``kinds`` (``"iu"`` integers, ``"iuf"`` any number).

        Args:
            rows: part to read along the first dimension.
        """
        dataset = self._datasets[name]
        with _reading(self._path, name):
            self._check_once(name)
            if dataset.dtype.kind not in kinds or dataset.ndim != ndim:
                wanted = "numbers" if "f" in kinds else "whole numbers"
                actual = f"{dataset.dtype} of {dataset.ndim}"
                problem = f"expected {wanted} of {ndim} dimension{'s' * (ndim > 1)}, found {actual}"
                raise DataError(problem, code="file-unexpected-content", file=self._path, place=name)
            return np.asarray(dataset[rows], dtype=dataset.dtype.newbyteorder("="))

    def strings(self, name: str) -> np.ndarray:
        """Read a one-dimensional dataset of UTF-8 text as an array of str objects."""
        dataset = self._datasets[name]
        with _reading(self._path, name):
            self._check_once(name)
            text = h5py.check_string_dtype(dataset.dtype)
            if text is None or dataset.ndim != 1:
                raise DataError(
                    "expected a list of strings", code="file-unexpected-content", file=self._path, place=name
                )
            if text.length is None:
                raw = read_strings(dataset, self._stream, self._path, name, self._max_bytes)
            else:
                raw = dataset[()].tolist()
        return decode_ids(raw, self._path, name)

    def _check_once(self, name: str) -> None:
        """Check all chunks of a dataset before its first rows are read, not before each of thousands of blocks."""
        if name not in self._checked:
            _check_storage(self._datasets[name], self._path, name, self._max_bytes)
            self._checked.add(name)


@contextmanager
def open_hdf5(source: Path | BytesIO, path: Path, max_bytes: int) -> Iterator[CheckedHdf5]:
    """Open an HDF5 file, on disk or in memory, for reading; ``path`` names it in messages.

    Raises:
        DataError: damaged or truncated; soft, external or user-defined links; datasets that declare more than
            ``max_bytes`` together.
    """
    with nullcontext(source) if isinstance(source, BytesIO) else source.open("rb") as stream:
        with _reading(path, None):
            file = h5py.File(source, "r", locking="best-effort")
        with file:
            yield _check_file(file, stream, path, max_bytes)


def _check_file(file: h5py.File, stream: BinaryIO, path: Path, max_bytes: int) -> CheckedHdf5:
    with _reading(path, None):
        datasets = _walk(file, path)
        declared = sum(_declared_bytes(dataset) for dataset in datasets.values())
    if declared > max_bytes:
        raise too_large(path, declared, max_bytes)
    return CheckedHdf5(file, datasets, stream, path, max_bytes)


def _walk(file: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """List every dataset by its path, through hard links only; each group is entered once (links may cycle)."""
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
                raise DataError(f"contains more than {_MAX_OBJECTS:,} objects", code="file-too-large", file=path)
    return datasets


def _check_link(group: h5py.Group, name: str, path: Path, place: str) -> None:
    try:
        link = group.get(name, getlink=True)
    except TypeError as error:
        raise DataError("a link of an unknown kind", code="file-unsafe", file=path, place=place) from error
    if isinstance(link, h5py.ExternalLink):
        raise DataError(
            f"a link to another file, {link.filename}:{link.path}", code="file-unsafe", file=path, place=place
        )
    if isinstance(link, h5py.SoftLink):
        raise DataError(f"a soft link to {link.path}", code="file-unsafe", file=path, place=place)


def _declared_bytes(dataset: h5py.Dataset) -> int:
    return 0 if dataset.shape is None else math.prod(dataset.shape) * dataset.id.get_type().get_size()


def _check_storage(dataset: h5py.Dataset, path: Path, name: str, max_bytes: int) -> None:
    if dataset.shape is None:
        raise DataError("an empty dataspace", code="file-unexpected-content", file=path, place=name)
    if dataset.is_virtual or dataset.external:
        raise DataError("its values are stored in another file", code="file-unsafe", file=path, place=name)
    creation = dataset.id.get_create_plist()
    used = {creation.get_filter(i)[0] for i in range(creation.get_nfilters())}
    if unknown := sorted(used - _FILTERS):
        problem, remedy = "stored with unusual HDF5 filters", "Write the file again with gzip compression"
        raise DataError(problem, code="file-unusual-storage", file=path, place=name, offenders=unknown, remedy=remedy)
    chunk = math.prod(dataset.chunks or ()) * dataset.id.get_type().get_size()
    if chunk > max_bytes:
        raise too_large(path, chunk, max_bytes, name)
    declared, stored = _declared_bytes(dataset), dataset.id.get_storage_size()
    if used and stored * _MAX_DEFLATE_RATIO > max_bytes:
        _check_chunks(dataset, path, name, max_bytes)
    # Contiguous storage must have every byte: the library reads other values for a part than for the whole otherwise.
    if declared > _MAX_DEFLATE_RATIO * stored or (dataset.chunks is None and stored < declared):
        problem = f"declares {declared:,} bytes, but the {stored:,} bytes in the file cannot hold them"
        raise DataError(problem, code="file-truncated", file=path, place=name, remedy="Copy the file again")


def _check_chunks(dataset: h5py.Dataset, path: Path, name: str, max_bytes: int) -> None:
    """Limit the size of chunks, which the library inflates to their end, however long that is."""
    largest = 0

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        nonlocal largest
        largest = max(largest, chunk.size)

    dataset.id.chunk_iter(note)
    if largest * _MAX_DEFLATE_RATIO > max_bytes:
        could, limit = largest * _MAX_DEFLATE_RATIO / 1e9, max_bytes / 1e9
        problem = f"a chunk of {largest:,} bytes could hold {could:,.3g} GB, the limit is {limit:,.3g} GB"
        remedy = "Write it with chunks of about 1 MB, or raise --max-input-gb"
        raise DataError(problem, code="file-too-large", file=path, place=name, remedy=remedy)


@contextmanager
def _reading(path: Path, place: str | None) -> Iterator[None]:
    """Convert the exceptions that the library raises on damaged bytes to DataError."""
    try:
        yield
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, zlib.error) as error:
        problem = "the file is truncated" if "truncated file" in str(error) else f"damaged HDF5 file: {error}"
        raise DataError(
            problem,
            code="file-truncated" if "truncated file" in str(error) else "file-damaged",
            file=path,
            place=place,
            remedy="Copy the file again",
        ) from error
