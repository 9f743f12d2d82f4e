"""Lineages of ASVs as class codes, rank by rank, for an encoder that learns the taxonomy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from aam_data.errors import DataError

MAX_RANKS = 32
_PREFIX = re.compile(r"[A-Za-z]+\d?__")  # k__, d__, ..., sp1__
_UNKNOWN = {"", "unassigned", "unclassified", "unknown", "uncultured", "ambiguous_taxa", "none", "na"}


def split_lineage(taxon: str | None) -> list[str]:
    """Split a lineage into names, from the highest rank to the last known one; ``d__Bacteria; p__; c__`` is one."""
    names: list[str] = []
    for part in (taxon or "").split(";"):
        name = part.strip()
        if _PREFIX.sub("", name, count=1).strip().lower() in _UNKNOWN:
            break
        names.append(name)
    return names


@dataclass(frozen=True)
class TaxonRanks:
    """Taxa of each rank. A taxon is its whole lineage: genera of one name in two families are two taxa.

    Attributes:
        lineages: sorted lineages by rank, with names joined by "; ". The class of a taxon is its position.
    """

    lineages: tuple[tuple[str, ...], ...]

    @classmethod
    def fit(cls, taxa: np.ndarray, file: Path) -> Self:
        """Fit the taxa of training ASVs.

        Args:
            taxa: [A] str as in the file, or None.
            file: file of the taxonomy, for messages.

        Raises:
            DataError: no rank has two taxa, or there are more than 32 ranks.
        """
        names = [split_lineage(taxon) for taxon in taxa]
        n_ranks = max(map(len, names), default=0)
        if n_ranks > MAX_RANKS:
            raise DataError(
                f"lineages have {n_ranks} ranks, but at most {MAX_RANKS} are allowed",
                code="taxonomy-too-many-ranks",
                file=file,
            )
        lineages = tuple(
            tuple(sorted({"; ".join(lineage[: rank + 1]) for lineage in names if len(lineage) > rank}))
            for rank in range(n_ranks)
        )
        if not any(len(rank) > 1 for rank in lineages):
            remedy = "Pass the taxonomy of this table's features, or leave out --taxonomy"
            problem = "the training ASVs have fewer than two taxa, so there is nothing to learn"
            raise DataError(problem, code="taxonomy-too-few-taxa", file=file, remedy=remedy)
        return cls(lineages)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of taxa by rank."""
        return tuple(map(len, self.lineages))

    def encode(self, taxa: np.ndarray) -> np.ndarray:
        """Encode taxa [A] as class codes, int64 [A, R]; -1 for unknown taxa and for those without training ASVs."""
        number = [{lineage: i for i, lineage in enumerate(rank)} for rank in self.lineages]
        codes = np.full((len(taxa), len(self.lineages)), -1, dtype=np.int64)
        for row, taxon in enumerate(taxa):
            names = split_lineage(taxon)[: len(number)]
            for rank in range(len(names)):
                codes[row, rank] = number[rank].get("; ".join(names[: rank + 1]), -1)
        return codes

    def to_list(self) -> list[list[str]]:
        """Return a form that JSON can store."""
        return [list(rank) for rank in self.lineages]

    @classmethod
    def from_list(cls, values: Sequence[Any]) -> Self:
        """Restore what ``to_list`` returned. Raises DataError for anything else."""
        well_formed = all(isinstance(rank, list) and all(isinstance(name, str) for name in rank) for rank in values)
        if not well_formed or not 1 <= len(values) <= MAX_RANKS or any(rank != sorted(set(rank)) for rank in values):
            raise DataError(
                "preprocessor: the taxonomy must be lists of sorted lineages by rank", code="model-inconsistent"
            )
        return cls(tuple(map(tuple, values)))
