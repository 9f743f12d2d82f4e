"""What training batches hide from the model, or look up for it: one class each, applied before arrays become tensors.

To add one, write a class with `apply` here and return it from `base_corruptions` or `count_corruptions` where an option
asks for it. Random choices must be keyed, as in `aam_train.data.masking`, so that they depend on neither the order of
samples nor the number of workers.
Axes: B samples, N occurrences, U distinct ASVs, L tokens, M masked bases, R ranks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from aam_data import alphabet
from aam_train.data.masking import hidden_occurrences, masked_positions
from aam_train.options.objective import MaskingOptions


def _no_positions() -> np.ndarray:
    return np.zeros(0, dtype=np.int64)


@dataclass(eq=False)
class BatchArrays:
    """A batch before its arrays become tensors. Corruptions change it in place.

    Attributes:
        tokens: uint8 [U, L], START + bases, padded.
        asv_keys: uint64 [U], hash of each sequence.
        asv_index: int64 [N], row of ``tokens`` of each occurrence.
        sample_keys: uint64 [N], hash of the sample id of each occurrence.
        seed: of the run.
        draw: epoch or pass.
        known_taxa: int64 [U, R], -1 = unknown; None without a taxonomy.
        masked_rows, masked_columns, masked_bases: int64 [M], see `Batch`.
        hidden_counts: bool [N]; None when all counts are shown.
        taxa: int64 [U, R] to predict; None when none are.
    """

    tokens: np.ndarray
    asv_keys: np.ndarray
    asv_index: np.ndarray
    sample_keys: np.ndarray
    seed: int
    draw: int
    known_taxa: np.ndarray | None = None
    masked_rows: np.ndarray = field(default_factory=_no_positions)
    masked_columns: np.ndarray = field(default_factory=_no_positions)
    masked_bases: np.ndarray = field(default_factory=_no_positions)
    hidden_counts: np.ndarray | None = None
    taxa: np.ndarray | None = None


class Corruption(Protocol):
    """A change to training batches."""

    def apply(self, batch: BatchArrays) -> None:
        """Change a batch in place."""
        ...


Corruptions = tuple[Corruption, ...]  # applied in this order


@dataclass(frozen=True)
class MaskBases:
    """Replace bases by MASK, to be predicted.

    Attributes:
        ratio: share of the bases of each ASV.
        strategy: "random" or "span", see `masked_positions`.
    """

    ratio: float
    strategy: str = "random"

    def apply(self, batch: BatchArrays) -> None:
        """Mask tokens and remember the bases that were there."""
        maskable = (batch.tokens >= alphabet.A) & (batch.tokens <= alphabet.T)
        rows, columns = masked_positions(batch.asv_keys, maskable, self.ratio, batch.seed, batch.draw, self.strategy)
        batch.masked_rows, batch.masked_columns = rows, columns
        batch.masked_bases = batch.tokens[rows, columns].astype(np.int64) - alphabet.A
        batch.tokens[rows, columns] = alphabet.MASK


@dataclass(frozen=True)
class HideCounts:
    """Hide abundances, to be predicted.

    Attributes:
        ratio: share of the occurrences.
    """

    ratio: float

    def apply(self, batch: BatchArrays) -> None:
        """Choose the occurrences to hide."""
        keys = batch.asv_keys[batch.asv_index]
        batch.hidden_counts = hidden_occurrences(keys, batch.sample_keys, self.ratio, batch.seed, batch.draw)


def base_corruptions(options: MaskingOptions) -> Corruptions:
    """Build the changes to bases that the options ask for."""
    ratio = options.nuc_mask_ratio
    return (MaskBases(ratio, options.nuc_mask_strategy),) if ratio else ()


def count_corruptions(options: MaskingOptions) -> Corruptions:
    """Build the changes to counts that the options ask for."""
    return (HideCounts(options.count_mask_ratio),) if options.count_mask_ratio else ()


@dataclass(frozen=True)
class LookUpTaxa:
    """Hide nothing, but look up the taxa of the ASVs, to be predicted."""

    def apply(self, batch: BatchArrays) -> None:
        """Attach the known taxa."""
        batch.taxa = batch.known_taxa
