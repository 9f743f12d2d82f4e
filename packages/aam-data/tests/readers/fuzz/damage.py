"""Damage to files of any format, and texts made of a format's own words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import strategies as st

_WORDS = [0, 1, 2, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


def damaged(*files: bytes) -> st.SearchStrategy[bytes]:
    """Draw one of the files with some damage: bytes and words changed, parts cut out, repeated, moved or lost.

    One drawn number seeds all damage; hundreds of draws for bytes would only be slower.
    """
    return st.builds(_injure, st.sampled_from(files), st.integers(0, 2**64 - 1))


def _injure(file: bytes, seed: int) -> bytes:
    random = np.random.Generator(np.random.PCG64(seed))
    content = bytearray(file)
    for _ in range(random.geometric(0.4)):
        if len(content) == 0:
            break
        _INJURIES[random.choice(len(_INJURIES), p=_SHARES)](content, random)
    return bytes(content)


def _place(content: bytearray, random: np.random.Generator) -> int:
    """Choose a position, mostly of a byte that is not 0: binary files are largely zeros."""
    for _ in range(8):
        place = int(random.integers(len(content)))
        if content[place]:
            break
    return place


def _byte(content: bytearray, random: np.random.Generator) -> None:
    content[_place(content, random)] = int(random.integers(256))


def _bit(content: bytearray, random: np.random.Generator) -> None:
    content[_place(content, random)] ^= 1 << int(random.integers(8))


def _word(content: bytearray, random: np.random.Generator) -> None:
    size = int(random.choice([1, 2, 4, 8]))
    place, word = _place(content, random), _WORDS[random.integers(len(_WORDS))] % 256**size
    content[place : place + size] = word.to_bytes(size, "little")


def _cut_out(content: bytearray, random: np.random.Generator) -> None:
    place = _place(content, random)
    del content[place : place + int(random.integers(1, 64))]


def _repeat(content: bytearray, random: np.random.Generator) -> None:
    start, place = int(random.integers(len(content))), _place(content, random)
    content[place:place] = content[start : start + int(random.integers(1, 64))]


def _move(content: bytearray, random: np.random.Generator) -> None:
    size = int(random.integers(1, 64))
    start, place = int(random.integers(len(content))), _place(content, random)
    part = content[start : start + size]
    content[place : place + len(part)] = part


def _truncate(content: bytearray, random: np.random.Generator) -> None:
    del content[int(random.integers(len(content))) :]


_INJURIES: list[Callable[[bytearray, np.random.Generator], None]] = [
    *(_byte, _bit, _word, _cut_out, _repeat, _move, _truncate),
]
_SHARES = [0.3, 0.25, 0.25, 0.05, 0.05, 0.08, 0.02]


def texts_of(words: Sequence[str], longest: int = 80) -> st.SearchStrategy[bytes]:
    """Draw texts of a format's words in any order, with occasional other characters."""
    odd = st.text(max_size=3)
    word = st.one_of(*[st.sampled_from(words)] * 9, odd)
    return st.lists(word, max_size=longest).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))
