"""Reader of variable-length strings in HDF5 files that does not use the library.

HDF5 keeps such strings in global heap collections, and a dataset of them consists of references: length, address of
the collection, number of the object in it. libhdf5 2.0 trusts these: of 6,000 small BIOM files with one to eight bytes
changed, seven made it loop forever or clear gigabytes, all seven while it read ids; nothing else hung or crashed. A
child process with a deadline would help too, but Python and h5py take 0.25 s to start in it. The format is simple, so
references and heaps are read here, in time proportional to the file size. The ids of 10,569 samples and ASVs take
10 ms, a third of the library's time.

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
from aam_data.readers.safe.lzf import decompress_lzf
from aam_data.readers.source import too_large

_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("object", "<u4")])
_COLLECTION = struct.Struct("<4sB3xQ")  # signature, version, size of the collection
_OBJECT = struct.Struct("<HHIQ")  # number, references to it, reserved, size of its data
_MAX_POSITION = 2**63  # limit of seek()


def read_strings(dataset: h5py.Dataset, stream: BinaryIO, path: Path, name: str, max_bytes: int) -> list[bytes]:
    """Read the values of a one-dimensional dataset of variable-length strings.

    Args:
        dataset: a dataset whose storage ``CheckedHdf5`` has checked.
        stream: the bytes of its file.
        path, name: names of file and dataset, for messages.
        max_bytes: maximum size of the content.

    Raises:
        DataError: damaged references or heaps; more than ``max_bytes``; an unusual storage layout.
    """
    file_size = stream.seek(0, 2)
    references = _references(dataset, stream, path, name)
    lengths = references["length"]
    if lengths.max(initial=0) > file_size:
        raise _damaged("a string is longer than the file", path, name)
    if (size := int(lengths.sum(dtype=np.uint64))) > max_bytes:
        raise too_large(path, size, max_bytes, name)
    values = [b""] * len(references)
    filled = np.flatnonzero(lengths)  # an empty string is in no heap
    if len(filled) == 0:
        return values
    filled = filled[np.argsort(references["address"][filled], kind="stable")]
    addresses, starts = np.unique(references["address"][filled], return_index=True)
    left = file_size
    for address, rows in zip(addresses.tolist(), np.split(filled, starts[1:]), strict=True):
        content = _collection(stream, address, left, path, name)
        left -= len(content)  # collections do not overlap, so their total is at most the file size
        objects = _objects(content, path, name)
        for row, number, length in zip(
            rows.tolist(), references["object"][rows].tolist(), lengths[rows].tolist(), strict=True
        ):
            start, stored = objects.get(number, (0, 0))
            if length > stored:
                raise _damaged(f"string {row + 1:,} is not in its heap", path, name)
            values[row] = content[start : start + length].split(b"\0", 1)[0]  # the library returns C strings
    return values


def _collection(stream: BinaryIO, address: int, left: int, path: Path, name: str) -> bytes:
    """Read the heap collection at ``address``, of at most ``left`` bytes."""
    if address < _MAX_POSITION:
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
    """Map the numbers of the objects in a collection to start and size; object 0, the last one, is its free space."""
    objects: dict[int, tuple[int, int]] = {}
    position, end = _COLLECTION.size, len(content) - _OBJECT.size
    while position <= end:
        number, _, _, size = _OBJECT.unpack_from(content, position)
        if number == 0:
            break
        position += _OBJECT.size
        if size > len(content) - position:
            raise _damaged("an object extends beyond its heap", path, name)
        objects[number] = (position, size)
        position += (size + 7) // 8 * 8
    return objects


def _references(dataset: h5py.Dataset, stream: BinaryIO, path: Path, name: str) -> np.ndarray:
    """Read the references that a dataset of strings consists of, [n] of ``_REFERENCE``."""
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
            raise _damaged("its values extend beyond the file", path, name)
        references[:] = np.frombuffer(content, dtype=_REFERENCE)
    return references


def _read_chunks(dataset: h5py.Dataset, references: np.ndarray, stream: BinaryIO, path: Path, name: str) -> None:
    creation = dataset.id.get_create_plist()
    pipeline = [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]
    (length,) = dataset.chunks
    size = length * _REFERENCE.itemsize
    chunks = {}
    max_chunks = math.ceil(len(references) / length)

    def note(chunk: h5py.h5d.StoreInfo) -> bool | None:
        chunks[chunk.chunk_offset[0]] = chunk
        return len(chunks) > max_chunks or None  # anything but None ends the iteration

    dataset.id.chunk_iter(note)
    if any(first % length or first >= len(references) for first in chunks):
        raise _damaged("chunks that do not belong to this dataset", path, name)
    for first, chunk in chunks.items():
        used = [code for i, code in enumerate(pipeline) if not chunk.filter_mask >> i & 1]
        if used not in ([], [h5py.h5z.FILTER_DEFLATE], [h5py.h5z.FILTER_LZF]):  # the library skips others for strings
            raise _unusual("HDF5 filters other than gzip and lzf", path, name)
        stream.seek(chunk.byte_offset)
        content = stream.read(chunk.size)
        if used == [h5py.h5z.FILTER_DEFLATE]:
            content = zlib.decompressobj().decompress(content, size + 1)
        elif used:
            content = decompress_lzf(content, size) or b""
        if len(content) != size:
            raise _damaged("a chunk does not have the declared length", path, name)
        part = references[first : first + length]
        part[:] = np.frombuffer(content, dtype=_REFERENCE)[: len(part)]


def _damaged(detail: str, path: Path, name: str) -> DataError:
    return DataError(
        f"damaged HDF5 file: {detail}", code="file-damaged", file=path, place=name, remedy="Copy the file again"
    )


def _unusual(what: str, path: Path, name: str) -> DataError:
    remedy = "Write the file again with gzip compression"
    return DataError(f"text stored with {what}", code="file-unusual-storage", file=path, place=name, remedy=remedy)
