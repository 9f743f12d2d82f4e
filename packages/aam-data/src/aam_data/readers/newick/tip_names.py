"""The names of a tree's tips as places in one text: no Python object exists for a name until somebody asks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np

_AT_ONCE = 1 << 16  # names for which Python objects exist at the same time


@dataclass(frozen=True, eq=False)
class TipNames:
    """Names of the tips, in the order of the tips. ``names[i]`` and iteration give str.

    Attributes:
        text: UTF-8.
        start, stop: int64 [n_tips]; name i is ``text[start[i]:stop[i]]``.
    """

    text: bytes | bytearray
    start: np.ndarray
    stop: np.ndarray

    @classmethod
    def of(cls, names: Iterable[str]) -> TipNames:
        """The given names."""
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
        """The names as UTF-8."""
        return chain.from_iterable(self._some(self._block(first)) for first in range(0, len(self), _AT_ONCE))

    def _block(self, first: int) -> np.ndarray:
        return np.arange(first, min(first + _AT_ONCE, len(self)))

    def _some(self, tips: np.ndarray) -> Iterator[bytes]:
        """The names of tips of one block, int64 [n]; what is copied of the text is the block's at most."""
        if not len(tips):
            return iter(())
        start, stop = self.start[tips], self.stop[tips]
        low = start.min()
        text = bytes(self.text[low : stop.max()])
        return map(text.__getitem__, map(slice, (start - low).tolist(), (stop - low).tolist()))

    def find(self, names: Sequence[str]) -> np.ndarray:
        """The tip of each name, int64 [n], or -1; of a name given twice, the first has it. Memory follows ``names``."""
        number = {name.encode(): i for i, name in reversed(list(enumerate(names)))}
        tip = np.full(len(names), -1, dtype=np.int64)
        if not number:
            return tip
        lengths = list({len(name) for name in number})
        for first in range(0, len(self), _AT_ONCE):
            block = self._block(first)
            # of a reference tree's names most have another length, and need no Python object
            tips = block[np.isin(self.stop[block] - self.start[block], lengths)]
            which = np.fromiter((number.get(name, -1) for name in self._some(tips)), np.int64, len(tips))
            found = which >= 0
            tip[which[found]] = tips[found]
        return tip

    def repeated(self) -> list[str]:
        """The names that several tips have."""
        hashes = np.fromiter(map(hash, self.encoded()), np.int64, len(self))
        ordered = np.sort(hashes)
        suspects = np.isin(hashes, ordered[1:][ordered[1:] == ordered[:-1]])
        if not suspects.any():
            return []
        counts = Counter(map(self.__getitem__, np.flatnonzero(suspects).tolist()))
        return [name for name, times in counts.items() if times > 1]

    def not_utf8(self) -> list[str]:
        """The names that are not UTF-8, with escapes."""
        if self.text.isascii():
            return []
        return [ascii(name) for name in self.encoded() if not _is_utf8(name)]


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
