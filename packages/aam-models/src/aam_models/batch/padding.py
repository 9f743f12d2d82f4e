"""How the samples of a batch are padded. Axes: B samples, N occurrences, Z slots in all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from aam_models.batch.batch import Group

SPARED = 4096  # slots that another group has to spare: it is another call of every block


class Padding(NamedTuple):
    """See `Batch` for these; int64 arrays."""

    groups: tuple[Group, ...]
    slots: np.ndarray
    slot_of: np.ndarray
    sample_of: np.ndarray
    places: np.ndarray

    def fields(self) -> dict[str, Any]:
        """These fields of a `Batch`."""
        return {
            name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
            for name, value in self._asdict().items()
        }


def cut_groups(sizes: np.ndarray) -> tuple[Group, ...]:
    """Groups of samples from the largest to the smallest.

    A group ends before a sample of half its largest or less, if ending there spares enough slots.

    Args:
        sizes: int64 [B] ASVs of each sample, descending.
    """
    groups, start = [], 0
    for place, size in enumerate(sizes.tolist()):
        largest = int(sizes[start])
        if 2 * size <= largest and (len(sizes) - place) * (largest - size) >= SPARED:
            groups.append(Group(place - start, largest))
            start = place
    return (*groups, Group(len(sizes) - start, int(sizes[start])))


def pad(sizes: np.ndarray, groups: tuple[Group, ...] | None = None) -> Padding:
    """Lay samples out in groups, the largest first; in their own order where they are one.

    Args:
        sizes: int64 [B] ASVs of each sample.
        groups: as `cut_groups` gives them by default.
    """
    order = np.argsort(-sizes, kind="stable")
    groups = groups or cut_groups(sizes[order])
    if len(groups) == 1:
        order = np.arange(len(sizes))
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    widths = np.repeat([group.n_slots for group in groups], [group.n_samples for group in groups])
    starts = (np.cumsum(widths) - widths)[places]  # first slot of each sample
    sample_of = np.repeat(np.arange(len(sizes)), sizes)
    n = len(sample_of)
    slot_of = np.arange(n) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    slots = np.full(int(widths.sum()), n)
    slots[slot_of] = np.arange(n)
    return Padding(groups, slots, slot_of, sample_of, places)
