"""Names of tips as positions in one text: no Python object exists for a name until it is requested."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_BLOCK_BYTES = 1 << 20
_IS_CONTROL = np.isin(np.arange(256), [*range(32), 127])
_OTHER_CONTROL = re.compile(rb"\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")  # U+0080 to U+009F, U+2028 and U+2029 in UTF-8
_BLOCK_NAMES = 1 << 16  # names for which Python objects exist at the same time
_WIDTHS = (8, 16, 32, 64, 128, 256)  # bytes of the names that are hashed together, padded
_FACTORS = np.cumprod(np.full(_WIDTHS[-1] // 8, 0x9E3779B97F4A7C15, dtype=np.uint64))  # odd, so no word is lost
_LOW_BITS = 2**64 - 1


@dataclass(frozen=True, eq=False)
class TipNames:
    """Names of the tips, in the order of the tips; ``names[i]`` and iteration return str.

    Attributes:
        text: UTF-8 text that contains the names.
        start, stop: int64 [n_tips]; name i is ``text[start[i]:stop[i]]``.
    """

    text: bytes | bytearray
    start: np.ndarray
    stop: np.ndarray

    @classmethod
    def from_names(cls, names: Iterable[str]) -> TipNames:
        """Create the object from names."""
        encoded = [name.encode() for name in names]
        bounds = np.fromiter(accumulate(map(len, encoded), initial=0), np.int64, len(encoded) + 1)
        return cls(b"".join(encoded), bounds[:-1], bounds[1:])

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, tip: int) -> str:
        return self.text[self.start[tip] : self.stop[tip]].decode()

    def __iter__(self) -> Iterator[str]:
        return map(bytes.decode, self.encoded())

    def encoded(self) -> Iterator[bytes]:
        """Iterate over the names as UTF-8."""
        return chain.from_iterable(
            self._encoded_names(self._block(first)) for first in range(0, len(self), _BLOCK_NAMES)
        )

    def _block(self, first: int) -> np.ndarray:
        return np.arange(first, min(first + _BLOCK_NAMES, len(self)))

    def _encoded_names(self, tips: np.ndarray) -> Iterator[bytes]:
        """Iterate over the names of tips of one block, int64 [n]; this copies at most the text of the block."""
        if not len(tips):
            return iter(())
        start, stop = self.start[tips], self.stop[tips]
        low = start.min()
        text = bytes(self.text[low : stop.max()])
        return map(text.__getitem__, map(slice, (start - low).tolist(), (stop - low).tolist()))

    def find(self, names: Sequence[str]) -> np.ndarray:
        """Find the tip of each name, int64 [n], or -1.

        Only the first of duplicates in ``names`` is found. Memory grows with ``names``, not with the tree.
        """
        number = {name.encode(): i for i, name in reversed(list(enumerate(names)))}
        tip = np.full(len(names), -1, dtype=np.int64)
        if not number:
            return tip
        lengths = list({len(name) for name in number})
        for first in range(0, len(self), _BLOCK_NAMES):
            block = self._block(first)
            # most names of a reference tree have another length, and need no Python object
            tips = block[np.isin(self.stop[block] - self.start[block], lengths)]
            positions = np.fromiter((number.get(name, -1) for name in self._encoded_names(tips)), np.int64, len(tips))
            is_wanted = positions >= 0
            tip[positions[is_wanted]] = tips[is_wanted]
        return tip

    def repeated(self) -> list[str]:
        """List the names shared by several tips."""
        hashes = np.concatenate([self._hashes(self._block(first)) for first in range(0, len(self), _BLOCK_NAMES)])
        ordered = np.sort(hashes)
        shared = ordered[1:][ordered[1:] == ordered[:-1]]
        if len(shared) == 0:
            return []
        counts = Counter(map(self.__getitem__, np.flatnonzero(np.isin(hashes, shared)).tolist()))
        return [name for name, times in counts.items() if times > 1]

    def _hashes(self, tips: np.ndarray) -> np.ndarray:
        """Hash the names of tips of one block, uint64 [n]; a tenth of the time of Python's objects and their hashes.

        A hash is the sum of the name's words of 8 bytes, each times an odd number of its own.
        """
        start, size = self.start[tips], self.stop[tips] - self.start[tips]
        low, widest = int(start.min()), _WIDTHS[-1]
        codes = np.frombuffer(bytes(self.text[low : int(self.stop[tips].max())]) + bytes(widest), dtype=np.uint8)
        hashes = np.empty(len(tips), dtype=np.uint64)
        for narrower, width in pairwise((-1, *_WIDTHS)):
            group = np.flatnonzero((size > narrower) & (size <= width))
            letters = sliding_window_view(codes, width)[start[group] - low]
            letters *= np.arange(width) < size[group, None]
            hashes[group] = (letters.view(np.uint64) * _FACTORS[: width // 8]).sum(axis=1)
        longer = np.flatnonzero(size > widest)
        hashes[longer] = [hash(name) & _LOW_BITS for name in self._encoded_names(tips[longer])]
        return hashes

    def not_utf8(self) -> list[str]:
        """List the names that are not UTF-8, with escapes."""
        if self.text.isascii():
            return []
        return [ascii(name) for name in self.encoded() if not _is_utf8(name)]

    def with_control_characters(self) -> list[str]:
        """List the names with characters that ``check_ids`` rejects in ids, with escapes."""
        codes, found = np.frombuffer(self.text, dtype=np.uint8), set[int]()
        for first in range(0, len(codes), _BLOCK_BYTES):
            found |= self._tips_at(first + np.flatnonzero(_IS_CONTROL[codes[first : first + _BLOCK_BYTES]]))
        if not self.text.isascii():
            found |= self._tips_at(np.array([match.start() for match in _OTHER_CONTROL.finditer(self.text)], np.int64))
        return [ascii(self[tip]) for tip in sorted(found)]

    def _tips_at(self, positions: np.ndarray) -> set[int]:
        """Find the tips whose names contain a byte at ``positions``, int64 [n]."""
        tips = np.searchsorted(self.start, positions, side="right") - 1
        return set(tips[(tips >= 0) & (positions < self.stop[tips])].tolist())


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
