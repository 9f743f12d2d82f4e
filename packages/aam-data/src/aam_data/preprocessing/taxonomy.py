"""Lineages of ASVs as class numbers, rank by rank: what an encoder can learn of the taxonomy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from aam_data.errors import DataError

MOST_RANKS = 32
_PREFIX = re.compile(r"[A-Za-z]+\d?__")  # k__, d__, ..., sp1__
_UNKNOWN = {"", "unassigned", "unclassified", "unknown", "uncultured", "ambiguous_taxa", "none", "na"}


def split_lineage(taxon: str | None) -> list[str]:
    """Names from the highest rank down to the last known one; ``d__Bacteria; p__; c__`` is one name long."""
    names: list[str] = []
    for part in (taxon or "").split(";"):
        name = part.strip()
        if _PREFIX.sub("", name, count=1).strip().lower() in _UNKNOWN:
            break
        names.append(name)
    return names


@dataclass(frozen=True)
class TaxonRanks:
    """The taxa of each rank. A taxon is its whole lineage: two genera of one name in two families are two taxa.

    Attributes:
        lineages: by rank, sorted; each as ``names joined by "; "``. The class of a taxon is its place.
    """

    lineages: tuple[tuple[str, ...], ...]

    @classmethod
    def fit(cls, taxa: np.ndarray, file: Path) -> Self:
        """The taxa of training ASVs.

        Args:
            taxa: [A] str as in the file, or None.
            file: for messages.

        Raises:
            DataError: no rank has two taxa, or there are more than 32 ranks.
        """
        names = [split_lineage(taxon) for taxon in taxa]
        n_ranks = max(map(len, names), default=0)
        if n_ranks > MOST_RANKS:
            raise DataError(f"lineages of {n_ranks} ranks, at most {MOST_RANKS} are read", file=file)
        lineages = tuple(
            tuple(sorted({"; ".join(found[: rank + 1]) for found in names if len(found) > rank}))
            for rank in range(n_ranks)
        )
        if not any(len(rank) > 1 for rank in lineages):
            remedy = "Give the taxonomy of this table's features, or leave out --taxonomy"
            raise DataError("the training ASVs have no two taxa, so nothing can be learned", file=file, remedy=remedy)
        return cls(lineages)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of taxa by rank."""
        return tuple(map(len, self.lineages))

    def encode(self, taxa: np.ndarray) -> np.ndarray:
        """Class numbers int64 [A, R] of taxa [A]; -1 where unknown, also for taxa that no training ASV had."""
        number = [{lineage: i for i, lineage in enumerate(rank)} for rank in self.lineages]
        codes = np.full((len(taxa), len(self.lineages)), -1, dtype=np.int64)
        for row, taxon in enumerate(taxa):
            names = split_lineage(taxon)[: len(number)]
            for rank in range(len(names)):
                codes[row, rank] = number[rank].get("; ".join(names[: rank + 1]), -1)
        return codes

    def to_list(self) -> list[list[str]]:
        """Ready for JSON."""
        return [list(rank) for rank in self.lineages]

    @classmethod
    def from_list(cls, values: Sequence[Any]) -> Self:
        """What ``to_list`` gave. Raises DataError for anything else."""
        well_formed = all(isinstance(rank, list) and all(isinstance(name, str) for name in rank) for rank in values)
        if not well_formed or not 1 <= len(values) <= MOST_RANKS or any(rank != sorted(set(rank)) for rank in values):
            raise DataError("preprocessor: a taxonomy that is not lists of sorted lineages by rank")
        return cls(tuple(map(tuple, values)))
