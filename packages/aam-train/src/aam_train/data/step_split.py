"""Even micro-batches: the samples of a step, divided among micro-batches and processes."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from aam_train.data.collate import KEEP_ALL, KEEP_NONE, ActivationPlan


class RankPart(NamedTuple):
    """What one process has of a micro-batch: int64 rows of samples, and the activations that are kept."""

    rows: np.ndarray
    kept: ActivationPlan


class StepSplitter(Protocol):
    """Divides steps; the same on every process."""

    def split(self, rows: np.ndarray, draw: int, processes: int) -> list[list[RankPart]]:
        """The micro-batches of a step, each as the parts of all processes.

        Args:
            rows: samples of the step, in random order.
            draw: of the samples.
        """
        ...


class EvenSplitter:
    """Micro-batches, and their parts, of equally many samples, up to one.

    Args:
        batch_size: most samples of a micro-batch of all processes.
        recompute: whether no activations are kept.
    """

    def __init__(self, batch_size: int, *, recompute: bool = False) -> None:
        self.batch_size, self.kept = batch_size, KEEP_NONE if recompute else KEEP_ALL

    def split(self, rows: np.ndarray, draw: int, processes: int) -> list[list[RankPart]]:
        """See `StepSplitter`."""
        micro = np.array_split(rows, max(1, -(-len(rows) // self.batch_size)))
        return [[RankPart(part, self.kept) for part in np.array_split(each, processes)] for each in micro]
