"""Splitting a step into micro-batches, and those into the parts of the processes."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from aam_train.data.collate import KEEP_ALL, KEEP_NONE, ActivationPlan


class RankPart(NamedTuple):
    """One process's part of a micro-batch.

    Attributes:
        rows: int64 rows of samples.
        activations: those that training keeps.
    """

    rows: np.ndarray
    activations: ActivationPlan


class StepSplitter(Protocol):
    """Divides steps; returns the same split on every process."""

    def split(self, rows: np.ndarray, draw: int, processes: int) -> list[list[RankPart]]:
        """Split a step into micro-batches, each a list with one part per process.

        Args:
            rows: samples of the step, in random order.
            draw: rarefaction draw of the samples.
            processes: number of parts of each micro-batch.
        """
        ...


class EvenSplitter:
    """Splitter into micro-batches and parts of equal size, up to one sample.

    Args:
        batch_size: maximum samples of a micro-batch, over all processes.
        recompute: whether to keep no activations.
    """

    def __init__(self, batch_size: int, *, recompute: bool = False) -> None:
        self.batch_size, self.activations = batch_size, KEEP_NONE if recompute else KEEP_ALL

    def split(self, rows: np.ndarray, draw: int, processes: int) -> list[list[RankPart]]:
        """See `StepSplitter.split`."""
        micro = np.array_split(rows, max(1, -(-len(rows) // self.batch_size)))
        return [[RankPart(part, self.activations) for part in np.array_split(each, processes)] for each in micro]
