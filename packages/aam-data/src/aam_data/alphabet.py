"""Codes of bases, defined here only.

Models receive them as config fields, so a model folder carries the alphabet it was trained with.
"""

from __future__ import annotations

import numpy as np

PAD = 0
A, C, G, T = 1, 2, 3, 4
START = 5
MASK = 6
AMBIGUOUS = 7  # every IUPAC code of more than one base: never masked, never predicted
VOCABULARY_SIZE = 8

BASES = "ACGT"
AMBIGUITY_CODES = "RYKMSWBDHVN"
_INVALID = 255

_CODE_OF_BYTE = np.full(256, _INVALID, dtype=np.uint8)
for _code, _base in enumerate(BASES, start=A):
    _CODE_OF_BYTE[ord(_base)] = _code
_CODE_OF_BYTE[ord("U")] = T
for _base in AMBIGUITY_CODES:
    _CODE_OF_BYTE[ord(_base)] = AMBIGUOUS
_BYTE_OF_CODE = np.frombuffer(b"-ACGT^?N", dtype=np.uint8)


def encode(sequence: bytes) -> np.ndarray:
    """Encode upper-case DNA as codes, uint8 [L].

    Raises:
        ValueError: a letter that is not IUPAC DNA; the message names the first.
    """
    codes = _CODE_OF_BYTE[np.frombuffer(sequence, dtype=np.uint8)]
    if (codes == _INVALID).any():
        position = int(np.argmax(codes == _INVALID))
        raise ValueError(f"{chr(sequence[position])!r} at position {position + 1} is not a DNA letter")
    return codes


def decode(codes: np.ndarray) -> str:
    """Decode codes [L] to letters; PAD becomes ``-`` and every ambiguity code ``N``."""
    return _BYTE_OF_CODE[codes].tobytes().decode("ascii")
