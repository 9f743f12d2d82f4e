"""The frame of a model: what its training reads look like, position by position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from aam_data import alphabet
from aam_data.checked_json import strict_fields
from aam_data.errors import DataError
from aam_data.study.frame.gene import gene_positions, position_in_words
from aam_data.study.frame.reads import WORD, Reads, log_odds

MIN_INFORMATION = 0.2  # nats a position: below, the sequences have too little in common to find offsets by it
MIN_FITTING = 0.5  # share of the training reads that fit their own frame, or it is none
MIN_SCORE = 20.0  # nats: offsets, strands and words together are fewer than e^10 hypotheses for a sequence
_SHOWN_BASES = 20
MIN_SHARE_OF_INFORMATION = 0.25  # V4 reads of soil, gut and skin have 0.5 and more, wrong offsets less than -0.5


class Placement(NamedTuple):
    """How a read lies in a frame.

    Attributes:
        turned: whether it is of the other strand.
        offset: position of the frame at which its first base lies, of the reverse complement if it is turned; negative
            where it starts before the frame.
    """

    turned: bool
    offset: int


NATIVE = Placement(False, 0)


@dataclass(frozen=True, eq=False)
class Frame:
    """Where the reads of a model start, and what is common at each position.

    Attributes:
        length: bases of the longest training read.
        per_mille: int64 [P, 4] frequencies of A, C, G and T at the first P positions, P <= ``length``; none is 0.
        words: common words of `WORD` bases, as numbers, with their position; a word has one position.
        fits: share of the training reads that the profile recognizes where they are.
        others: other placements that training reads had among themselves, which therefore stay as they are.
    """

    length: int
    per_mille: np.ndarray
    words: Mapping[int, int]
    fits: float = 1.0
    others: frozenset[Placement] = frozenset()

    def __post_init__(self) -> None:
        counts = self.per_mille
        if counts.shape[1:] != (4,) or not 1 <= len(counts) <= self.length or (counts < 1).any():
            raise DataError("the frame of the preprocessor has impossible sizes", code="model-inconsistent")
        if any(not 0 <= position < self.length for position in self.words.values()):
            raise DataError("the frame of the preprocessor has words outside of it", code="model-inconsistent")

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Frame) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.length, self.per_mille.tobytes()))

    @cached_property
    def profile(self) -> np.ndarray:
        """Frequencies of A, C, G and T at the first P positions, float64 [P, 4]."""
        return self.per_mille / self.per_mille.sum(axis=1, keepdims=True)

    @cached_property
    def table(self) -> np.ndarray:
        """The scores of codes at the positions, float32 [P, codes]."""
        return log_odds(self.profile)

    @cached_property
    def information(self) -> float:
        """Mean information of a position in nats: what one base of a training read scores on average."""
        return float((self.profile * np.log(4 * self.profile)).sum(axis=1).mean())

    @property
    def is_informative(self) -> bool:
        """True if the reads have so much in common that reads of another region are recognized."""
        return self.information >= MIN_INFORMATION and self.fits >= MIN_FITTING

    @cached_property
    def consensus(self) -> str:
        """The most frequent base at each position."""
        return "".join(alphabet.BASES[base] for base in self.profile.argmax(axis=1))

    @cached_property
    def sorted_words(self) -> tuple[np.ndarray, np.ndarray]:
        """The words in ascending order, uint64 [W], and their positions, int64 [W]."""
        words = np.array(sorted(self.words), dtype=np.uint64)
        return words, np.array([self.words[word] for word in sorted(self.words)], dtype=np.int64)

    def describe(self) -> str:
        """Name the region by the gene of E. coli, or show the first bases: ``V4 from 515F (E. coli 534 to 683)``."""
        if not self.is_informative:
            return "sequences that have little in common"
        consensus = Reads.encode([self.consensus.encode()], np.ones(1))
        (position,) = gene_positions(consensus)
        if position is None:
            return f"sequences that start like {self.consensus[:_SHOWN_BASES]}"
        return position_in_words(position, len(self.profile))

    def least_score(self, overlap: np.ndarray) -> np.ndarray:
        """Return the score that reads must reach to fit, by the bases that lie on the profile."""
        return np.maximum(MIN_SCORE, MIN_SHARE_OF_INFORMATION * self.information * overlap)

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can store, with one line for each base and each word."""
        columns = zip(alphabet.BASES, self.per_mille.T.tolist(), strict=True)
        return {
            "length": self.length,
            "per_mille": {base: " ".join(map(str, column)) for base, column in columns},
            "words": [f"{position} {word_text(word)}" for word, position in self.words.items()],
            "fits": self.fits,
            "others": [f"{'turned' if other.turned else 'forward'} {other.offset}" for other in sorted(self.others)],
        }

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """Restore what `to_dict` returned.

        Raises:
            DataError: anything else.
        """
        place = "preprocessor: frame"
        types = {"length": int, "per_mille": dict, "words": list, "fits": float, "others": list}
        checked = strict_fields(values, types, place)
        columns = strict_fields(checked["per_mille"], dict.fromkeys(alphabet.BASES, str), place)
        try:
            counts = np.array([[int(n) for n in columns[base].split()] for base in alphabet.BASES], dtype=np.int64).T
            words = {word_number(word): int(position) for position, word in map(str.split, checked["words"])}
            others = frozenset(
                Placement({"forward": False, "turned": True}[strand], int(offset))
                for strand, offset in map(str.split, checked["others"])
            )
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise DataError("values that no frame has", code="file-json-fields", place=place) from error
        return cls(checked["length"], counts, words, checked["fits"], others)


def word_text(word: int) -> str:
    """Return the letters of a word."""
    return "".join(alphabet.BASES[(word >> 2 * i) & 3] for i in reversed(range(WORD)))


def word_number(letters: str) -> int:
    """Return the number of a word. Raises ValueError for anything but `WORD` unambiguous bases."""
    if len(letters) != WORD:
        raise ValueError(letters)
    number = 0
    for letter in letters:
        number = number * 4 + alphabet.BASES.index(letter)
    return number
