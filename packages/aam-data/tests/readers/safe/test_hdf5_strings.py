"""Variable-length strings read from the heaps: the same as h5py, and damaged files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aam_data.errors import DataError
from aam_data.readers.safe.hdf5 import open_hdf5

TEXT = h5py.string_dtype()
LIMIT = 10**7
WORDS = ["a", "", "caf\u00e9", "x" * 5000, "tail"]
STORED: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (2,)},
    "gzip": {"chunks": (3,), "compression": "gzip"},
    "gzip and shuffle": {"chunks": (2,), "compression": "gzip", "shuffle": True},
    "shuffle": {"chunks": (8,), "shuffle": True, "maxshape": (None,)},
}


def write(path: Path, words: list[str], **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("ids", data=words, dtype=TEXT, **options)
    return path


def read(path: Path, max_bytes: int = LIMIT) -> list[str]:
    with open_hdf5(path, path, max_bytes) as file:
        values: list[str] = file.strings("ids").tolist()
    return values


@pytest.mark.parametrize("name", STORED)
def test_ways_to_store(tmp_path: Path, name: str) -> None:
    assert read(write(tmp_path / "t.h5", WORDS, **STORED[name])) == WORDS


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=300))
def test_any_words_as_h5py_reads_them(tmp_path: Path, words: list[str]) -> None:
    path = write(tmp_path / "t.h5", words, chunks=(7,), maxshape=(None,), compression="gzip")
    with h5py.File(path) as file:
        assert read(path) == file["ids"].asstr()[:].tolist() == words


def test_many_heaps(tmp_path: Path) -> None:
    words = [f"sample.{i}" * (i % 40) for i in range(20_000)]
    assert read(write(tmp_path / "t.h5", words, chunks=(1000,), compression="gzip")) == words


def test_datasets_without_values(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file.create_dataset("ids", shape=(0,), maxshape=(None,), chunks=(4,), dtype=TEXT)
    assert read(tmp_path / "t.h5") == []
    assert read(write(tmp_path / "empty.h5", ["", ""])) == ["", ""]


def test_other_formats_of_the_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t.h5", "w", libver="latest") as file:
        file.create_dataset("ids", data=WORDS, dtype=TEXT, chunks=(2,), maxshape=(None,))
    assert read(tmp_path / "t.h5") == WORDS


def test_unusual_storage(tmp_path: Path) -> None:
    assert read(write(tmp_path / "lzf.h5", WORDS * 50, chunks=(40,), compression="lzf")) == WORDS * 50
    with h5py.File(tmp_path / "compact.h5", "w") as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_layout(h5py.h5d.COMPACT)
        space, kind = h5py.h5s.create_simple((1,)), h5py.h5t.py_create(TEXT, logical=True)
        h5py.h5d.create(file.id, b"ids", kind, space, creation)
        file["ids"][0] = "word"
    with pytest.raises(DataError, match=r"ids: text stored with an unusual HDF5 layout"):
        read(tmp_path / "compact.h5")


def damage(path: Path, offset: int, form: str, value: int) -> Path:
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, offset, value)
    path.write_bytes(content)
    return path


def places(path: Path) -> tuple[int, int]:
    """Return the positions of the references and of the first heap collection."""
    with h5py.File(path) as file:
        return file["ids"].id.get_offset(), path.read_bytes().index(b"GCOL")


@pytest.mark.parametrize(
    ("part", "offset", "form", "value", "message"),
    [
        ("reference", 0, "<I", 2**32 - 1, "a string is longer than the file"),
        ("reference", 0, "<I", 9, "string 1 is not in its heap"),
        ("reference", 4, "<Q", 10**6, "no heap at byte 1,000,000"),
        ("reference", 4, "<Q", 2**64 - 1, "no heap at byte 18,446,744,073,709,551,615"),
        ("reference", 12, "<I", 77, "string 1 is not in its heap"),
        ("heap", 0, "<I", 0, "no heap at byte"),
        ("heap", 4, "<B", 9, "no heap at byte"),
        ("heap", 8, "<Q", 2**40, "no heap at byte"),
        ("heap", 8, "<Q", 0, "no heap at byte"),
        ("heap", 24, "<Q", 2**60, "an object extends beyond its heap"),
        ("heap", 16, "<H", 0, "string 1 is not in its heap"),
    ],
)
def test_damaged_heap(tmp_path: Path, part: str, offset: int, form: str, value: int, message: str) -> None:
    path = write(tmp_path / "t.h5", ["a", "b"])
    references, heap = places(path)
    damage(path, offset + (references if part == "reference" else heap), form, value)
    with pytest.raises(DataError, match=rf"t.h5: ids: damaged HDF5 file: {message}.*Copy the file again"):
        read(path)


def test_heap_that_loops_in_the_library(tmp_path: Path) -> None:
    """An object of 2^64 - 16 bytes: its position plus its size is its position again."""
    path = write(tmp_path / "t.h5", ["a", "b"])
    damage(path, places(path)[1] + 24, "<Q", 2**64 - 16)
    with pytest.raises(DataError, match="an object extends beyond its heap"):
        read(path)


def test_overlapping_heaps(tmp_path: Path) -> None:
    """Many collections as long as the file would be read once for each string."""
    path = write(tmp_path / "t.h5", ["word"] * 400)
    content = bytearray(path.read_bytes() + bytes(100_000))
    references, heap = places(path)
    size = len(content)
    for i in range(400):
        start = heap + 4096 + 32 * i
        struct.pack_into("<4sB3xQHHIQ", content, start, b"GCOL", 1, size - start, 1, 1, 0, 4)
        struct.pack_into("<IQI", content, references + 16 * i, 4, start, 1)
    path.write_bytes(content)
    with pytest.raises(DataError, match="no heap at byte"):
        read(path)


def test_damaged_chunk(tmp_path: Path) -> None:
    path = write(tmp_path / "t.h5", WORDS, chunks=(5,), compression="gzip")
    with h5py.File(path) as file:
        chunk = file["ids"].id.get_chunk_info(0)
    damage(path, chunk.byte_offset + chunk.size // 2, "<I", 0xFFFFFFFF)
    with pytest.raises(DataError, match=r"ids: damaged HDF5 file"):
        read(path)


def test_references_behind_the_end_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "t.h5", ["a", "b"])
    content = path.read_bytes()
    layout = content.index(struct.pack("<QQ", places(path)[0], 32))  # address and size, in the layout message
    damage(path, layout, "<Q", len(content) - 8)
    with pytest.raises(DataError, match="damaged HDF5 file"):
        read(path)


def test_chunk_at_an_impossible_place(tmp_path: Path) -> None:
    path = write(tmp_path / "t.h5", WORDS, chunks=(2,))
    with h5py.File(path) as file:
        address = file["ids"].id.get_chunk_info(1).byte_offset
    key = path.read_bytes().index(struct.pack("<QQQ", 2, 0, address))  # in the B-tree: offset of the chunk, 0, address
    damage(path, key, "<Q", 100)
    with pytest.raises(DataError, match=r"ids: damaged HDF5 file: chunks that do not belong to this dataset"):
        read(path)


def test_short_chunk(tmp_path: Path) -> None:
    path = write(tmp_path / "t.h5", WORDS, chunks=(5,), compression="gzip")
    with h5py.File(path, "a") as file:
        file["ids"].id.write_direct_chunk((0,), zlib.compress(bytes(16)))
    with pytest.raises(DataError, match=r"ids: damaged HDF5 file: a chunk does not have the declared length"):
        read(path)


def test_content_beyond_the_limit(tmp_path: Path) -> None:
    path = write(tmp_path / "t.h5", ["x" * 50_000] * 30)
    assert len(read(path)) == 30
    with pytest.raises(DataError, match=r"ids: declares 0.0015 GB.*--max-input-gb"):
        read(path, 10**6)


def test_chunk_that_could_inflate_beyond_the_limit(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random(100_000)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file.create_dataset("values", data=noise, chunks=(100_000,), compression="gzip")
    path = tmp_path / "t.h5"
    message = r"values: a chunk of 7\d\d,\d+ bytes could hold 0.8\d* GB.*--max-input-gb"
    with open_hdf5(path, path, 10**8) as file, pytest.raises(DataError, match=message):
        file.numbers("values", ndim=1, kinds="f")
    with open_hdf5(path, path, 10**9) as file:
        np.testing.assert_array_equal(file.numbers("values", ndim=1, kinds="f", rows=slice(5, 9)), noise[5:9])
