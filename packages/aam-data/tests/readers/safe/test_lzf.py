"""LZF against the library's own compressor."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from aam_data.readers.safe.lzf import decompress_lzf

RNG = np.random.Generator(np.random.PCG64(3))
CONTENTS = {
    "zeros": bytes(10_000),
    "short": b"abcabcabcabc" * 30,
    "random": RNG.bytes(5000),
    "far": (block := RNG.bytes(3000)) + bytes(2000) + block,
    "letters": RNG.choice(list(b"ACGT"), 20_000).astype(np.uint8).tobytes(),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_the_library_compressed(tmp_path: Path, name: str) -> None:
    content = CONTENTS[name]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        values = np.frombuffer(content, dtype=np.uint8)
        dataset = file.create_dataset("x", data=values, chunks=values.shape, compression="lzf")
        mask, stored = dataset.id.read_direct_chunk((0,))
    if mask:  # it does not shrink, so the library stored it as it is
        return
    assert decompress_lzf(stored, len(content)) == content
    assert decompress_lzf(stored, len(content) - 1) is None
    assert decompress_lzf(stored[:-1], len(content)) is None


def test_damaged_bytes_end_without_an_exception() -> None:
    for _ in range(300):
        found = decompress_lzf(RNG.bytes(int(RNG.integers(1, 60))), 500)
        assert found is None or len(found) == 500
