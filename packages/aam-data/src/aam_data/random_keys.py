"""Keyed random generators: the key identifies the purpose of each draw.

A draw therefore does not depend on the order of the table, on earlier draws, on worker processes or on ranks.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from hashlib import blake2b

import numpy as np

_MASK_64 = 2**64 - 1


class Purpose(IntEnum):
    """Purpose of a key. The numbers are part of saved models: never renumber, only add."""

    RAREFACTION = 1
    SPLIT = 2
    FOLDS = 3
    ORDER = 4
    STEP = 5
    WEIGHTS = 6
    CALIBRATION = 7
    ASV_SAMPLING = 8
    BOOTSTRAP = 9
    REPEATS = 10
    INNER_FOLDS = 11
    FEATURES = 12
    MEMBERS = 13
    STUDIES = 14


def sample_key(sample_id: str) -> int:
    """Return the 64-bit BLAKE2b of a sample id: a sample has the same key in every table."""
    return int.from_bytes(blake2b(sample_id.encode(), digest_size=8).digest(), "little")


def generator(seed: int, *key: int) -> np.random.Generator:
    """Return the random generator of ``(seed, *key)``.

    The 128-bit key of a Philox counter generator (Salmon et al. 2011, doi:10.1145/2063384.2063405) is the
    BLAKE2b hash of the numbers, each as 64 bits (negative ones in two's complement), so different keys give
    independent streams.
    """
    numbers = [number & _MASK_64 for number in (seed, *key)]
    digest = blake2b(struct.pack(f"<{len(numbers)}Q", *numbers), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype="<u8")))
