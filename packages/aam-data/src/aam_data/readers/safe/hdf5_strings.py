"""Strings of variable length in HDF5 files, read without the library.

HDF5 keeps such strings in global heap collections, and a dataset of them holds references: length, address of the
collection, number of the object in it. libhdf5 2.0 trusts what it finds there: of 6,000 small BIOM files with one to
eight bytes changed, seven kept it busy for ever or made it clear gigabytes, all seven while it read ids; nothing else
hung or crashed. A child process with a deadline would help too, but Python and h5py take 0.25 s to start in it; the
format is short, so references and heaps are read here, where no step takes longer than the file is large. The ids of
10,569 samples and ASVs take 10 ms, a third of the library's time.

Format: HDF5 File Format Specification 3.0, section III.E (global heap) and the variable-length strings of section
IV.A.2.d (datatypes).
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from aam_data.errors import DataError
from aam_data.readers.source import too_large

_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("object", "<u4")])
_COLLECTION = struct.Struct("<4sB3xQ")  # signature, version, size of the collection
_OBJECT = struct.Struct("<HHIQ")  # number, references to it, reserved, size of its data
_MOST_BYTES = 2**63  # where seek() ends


def read_strings(dataset: h5py.Dataset, stream: BinaryIO, path: Path, name: str, max_bytes: int) -> list[bytes]:
    """The values of a one-dimensional dataset of variable-length strings.

    Args:
        dataset: of which ``hdf5_guard`` has checked where and how it is stored.
        stream: the bytes of its file.
        path, name: of file and dataset, for messages.
        max_bytes: most content to accept.

    Raises:
        DataError: references or heaps that are damaged; more than ``max_bytes``; stored in an unusual way.
    """
    file_size = stream.seek(0, 2)
    references = _references(dataset, stream, path, name)
    lengths = references["length"]
    if lengths.max(initial=0) > file_size:
        raise _damaged("a string is longer than the file", path, name)
    if (size := int(lengths.sum(dtype=np.uint64))) > max_bytes:
        raise too_large(path, size, max_bytes, name)
    values = [b""] * len(references)
    held = np.flatnonzero(lengths)  # an empty string is in no heap
    if len(held) == 0:
        return values
    held = held[np.argsort(references["address"][held], kind="stable")]
    addresses, starts = np.unique(references["address"][held], return_index=True)
    left = file_size
    for address, rows in zip(addresses.tolist(), np.split(held, starts[1:]), strict=True):
        content = _collection(stream, address, left, path, name)
        left -= len(content)  # collections do not overlap, so together they are not longer than the file
        objects = _objects(content, path, name)
        for row, number, length in zip(
            rows.tolist(), references["object"][rows].tolist(), lengths[rows].tolist(), strict=True
        ):
            start, stored = objects.get(number, (0, 0))
            if length > stored:
                raise _damaged(f"string {row + 1:,} is not in its heap", path, name)
            values[row] = content[start : start + length].split(b"\0", 1)[0]  # the library hands out C strings
    return values


def _collection(stream: BinaryIO, address: int, left: int, path: Path, name: str) -> bytes:
    """The bytes of the heap collection at ``address``, at most ``left``."""
    if address < _MOST_BYTES:
        stream.seek(address)
        header = stream.read(_COLLECTION.size)
        if len(header) == _COLLECTION.size:
            signature, version, size = _COLLECTION.unpack(header)
            if (signature, version) == (b"GCOL", 1) and len(header) <= size <= left:
                content = header + stream.read(size - len(header))
                if len(content) == size:
                    return content
    raise _damaged(f"no heap at byte {address:,}", path, name)


def _objects(content: bytes, path: Path, name: str) -> dict[int, tuple[int, int]]:
    """Start and size of the objects in a collection, by number; object 0 is its free space, the last one."""
    objects: dict[int, tuple[int, int]] = {}
    position, end = _COLLECTION.size, len(content) - _OBJECT.size
    while position <= end:
        number, _, _, size = _OBJECT.unpack_from(content, position)
        if number == 0:
            break
        position += _OBJECT.size
        if size > len(content) - position:
            raise _damaged("an object leads out of its heap", path, name)
        objects[number] = (position, size)
        position += (size + 7) // 8 * 8
    return objects


def _references(dataset: h5py.Dataset, stream: BinaryIO, path: Path, name: str) -> np.ndarray:
    """What a dataset of strings holds itself, [n] of ``_REFERENCE``."""
    creation = dataset.id.get_create_plist()
    sizes = h5py.h5i.get_file_id(dataset.id).get_create_plist().get_sizes()
    layout = creation.get_layout()
    if sizes != (8, 8) or layout not in (h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED):
        raise _unusual("an unusual HDF5 layout", path, name)
    references = np.zeros(len(dataset), dtype=_REFERENCE)
    if layout == h5py.h5d.CHUNKED:
        _read_chunks(dataset, references, stream, path, name)
    elif (offset := dataset.id.get_offset()) is not None:
        stream.seek(offset)
        content = stream.read(references.nbytes)
        if len(content) != references.nbytes:
            raise _damaged("its values lead out of the file", path, name)
        references[:] = np.frombuffer(content, dtype=_REFERENCE)
    return references


def _read_chunks(dataset: h5py.Dataset, references: np.ndarray, stream: BinaryIO, path: Path, name: str) -> None:
    creation = dataset.id.get_create_plist()
    pipeline = [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]
    (length,) = dataset.chunks
    size = length * _REFERENCE.itemsize
    chunks = {}
    most = math.ceil(len(references) / length)

    def note(chunk: h5py.h5d.StoreInfo) -> bool | None:
        chunks[chunk.chunk_offset[0]] = chunk
        return len(chunks) > most or None  # anything but None ends the iteration

    dataset.id.chunk_iter(note)
    if any(first % length or first >= len(references) for first in chunks):
        raise _damaged("chunks that are not of this dataset", path, name)
    for first, chunk in chunks.items():
        used = [code for i, code in enumerate(pipeline) if not chunk.filter_mask >> i & 1]
        if used not in ([], [h5py.h5z.FILTER_DEFLATE]):  # the library skips shuffle and fletcher32 for strings
            raise _unusual("HDF5 filters other than gzip", path, name)
        stream.seek(chunk.byte_offset)
        content = stream.read(chunk.size)
        if used:
            content = zlib.decompressobj().decompress(content, size + 1)
        if len(content) != size:
            raise _damaged("a chunk is not as long as declared", path, name)
        part = references[first : first + length]
        part[:] = np.frombuffer(content, dtype=_REFERENCE)[: len(part)]


def _damaged(detail: str, path: Path, name: str) -> DataError:
    return DataError(f"damaged HDF5 file: {detail}", file=path, place=name, remedy="Copy the file again")


def _unusual(what: str, path: Path, name: str) -> DataError:
    remedy = "Write the file again with gzip compression"
    return DataError(f"text stored with {what}", file=path, place=name, remedy=remedy)
