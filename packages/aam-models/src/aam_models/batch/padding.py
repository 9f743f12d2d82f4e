"""Padding of the samples of a batch. Axes: B samples, N occurrences, Z slots in all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from aam_models.batch.batch import PaddedGroup

MIN_SLOTS_SAVED = 4096  # slots that one more group must save, because it is one more call of every block


class Padding(NamedTuple):
    """Layout of padded samples, as in `Batch`; int64 arrays."""

    groups: tuple[PaddedGroup, ...]
    slots: np.ndarray
    slot_of: np.ndarray
    sample_of: np.ndarray
    order: np.ndarray

    def fields(self) -> dict[str, Any]:
        """Return these fields of a `Batch`, as tensors."""
        return {
            name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
            for name, value in self._asdict().items()
        }


def cut_groups(sizes: np.ndarray) -> tuple[PaddedGroup, ...]:
    """Divide samples into groups, from the largest to the smallest.

    A group ends before a sample of at most half its largest, if that saves enough slots.

    Args:
        sizes: int64 [B], ASVs of each sample, descending.
    """
    groups, start = [], 0
    for sample, size in enumerate(sizes.tolist()):
        largest = int(sizes[start])
        if 2 * size <= largest and (len(sizes) - sample) * (largest - size) >= MIN_SLOTS_SAVED:
            groups.append(PaddedGroup(sample - start, largest))
            start = sample
    return (*groups, PaddedGroup(len(sizes) - start, int(sizes[start])))


def pad(sizes: np.ndarray, groups: tuple[PaddedGroup, ...] | None = None) -> Padding:
    """Lay samples out in groups, the largest first; a single group keeps them in their own order.

    Args:
        sizes: int64 [B], ASVs of each sample.
        groups: those of `cut_groups` by default.

    Returns:
        Groups, slots and the order of samples, as `Batch` needs them.

    Example:
        >>> pad(np.array([2, 3])).slots  # two samples in one group of three slots each; 5 is an empty slot
        array([0, 1, 5, 2, 3, 4])
    """
    by_size = np.argsort(-sizes, kind="stable")
    groups = groups or cut_groups(sizes[by_size])
    if len(groups) == 1:
        by_size = np.arange(len(sizes))
    order = np.empty_like(by_size)
    order[by_size] = np.arange(len(by_size))
    widths = np.repeat([group.n_slots for group in groups], [group.n_samples for group in groups])
    starts = (np.cumsum(widths) - widths)[order]  # first slot of each sample
    sample_of = np.repeat(np.arange(len(sizes)), sizes)
    n = len(sample_of)
    slot_of = np.arange(n) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    slots = np.full(int(widths.sum()), n)
    slots[slot_of] = np.arange(n)
    return Padding(groups, slots, slot_of, sample_of, order)
