"""Feature ids that are MD5 or SHA-1 hashes of sequences, as QIIME 2 (DADA2, Deblur) and vsearch make them.

Both hash the upper-case sequence. Nothing here protects anything: these hashes are names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Literal

Algorithm = Literal["md5", "sha1"]

PATTERNS: dict[Algorithm, re.Pattern[str]] = {
    "md5": re.compile(r"[0-9a-f]{32}"),
    "sha1": re.compile(r"[0-9a-f]{40}"),
}
_GAPS = b"-."
_U_TO_T = bytes.maketrans(b"U", b"T")


def hash_of(sequence: bytes, algorithm: Algorithm) -> str:
    """Hex digest of an upper-case sequence."""
    return hashlib.new(algorithm, sequence, usedforsecurity=False).hexdigest()


def algorithm_of(name: str) -> Algorithm | None:
    """The algorithm that an id looks made by."""
    return next((algorithm for algorithm, pattern in PATTERNS.items() if pattern.fullmatch(name)), None)


def normalise(sequence: bytes) -> bytes:
    """Upper-case letters as what is hashed and read: without gaps, T for U."""
    return sequence.translate(_U_TO_T, _GAPS)


def sequences_by_hash(wanted: Mapping[int, str], sequences: Iterable[bytes]) -> dict[int, bytes]:
    """Sequences whose hash is wanted, by the keys of ``wanted``.

    Args:
        wanted: ids by any key; those that are no hashes are passed over.
        sequences: upper-case; normalised before they are hashed, returned as they are.
    """
    keys = {algorithm: dict[str, int]() for algorithm in PATTERNS}
    for key, name in wanted.items():
        if (algorithm := algorithm_of(name)) is not None:
            keys[algorithm][name] = key
    searched = {algorithm: key_of for algorithm, key_of in keys.items() if key_of}
    found = {}
    for sequence in sequences if searched else ():
        for algorithm, key_of in searched.items():
            if (match := key_of.get(hash_of(normalise(sequence), algorithm))) is not None:
                found[match] = sequence
    return found
