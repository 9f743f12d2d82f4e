"""Passes over many things, shared by processes: each has a run of them, everybody gets all results, in order.

All processes make equally many passes of the model, since a divided model is gathered in each: who has fewer batches
than the others repeats one and throws its result away.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from aam_train.parallel.ranks import Ranks


def map_over_ranks(
    ranks: Ranks,
    things: np.ndarray,
    at_once: int,
    run: Callable[[np.ndarray], tuple[Tensor, ...]],
    *,
    one_row_each: bool = True,
    sizes: np.ndarray | None = None,
    max_total: int = 0,
) -> tuple[Tensor, ...]:
    """Run everything, at most ``at_once`` things a call.

    Args:
        things: [R], at least one.
        run: gives tensors of equally many rows, the same number of tensors always.
        one_row_each: whether each thing has one row, which is checked.
        sizes: int64 [R], to which the things of a call are padded: to the largest of them.
        max_total: of these a call has no more in all, unless one thing alone does.

    Returns:
        The same tensors for all R things, in their order, on every process.
    """
    shares = np.array_split(things, ranks.size)
    sizes = np.ones(len(things), dtype=np.int64) if sizes is None else sizes
    cuts = [split_calls(share, at_once, max_total or at_once) for share in np.array_split(sizes, ranks.size)]
    mine = shares[ranks.rank]
    found: list[tuple[Tensor, ...]] = []
    for number in range(max(map(len, cuts))):
        part = mine[cuts[ranks.rank][number]] if number < len(cuts[ranks.rank]) else mine[:0]
        result = run(part if len(part) else things[:1])
        found.append(result if len(part) else tuple(tensor[:0] for tensor in result))
    columns = [torch.cat(column) for column in zip(*found, strict=True)]
    lengths = ranks.all_gather([len(columns[0])])[:, 0].astype(int).tolist()
    assert not one_row_each or lengths == [len(share) for share in shares]
    return tuple(ranks.collect(column, lengths) for column in columns)


def split_calls(sizes: np.ndarray, at_once: int, max_total: int) -> list[slice]:
    """Runs, none empty, of at most ``at_once`` things that, padded to the largest, have at most ``most`` in all."""
    found, start, largest = [], 0, 0
    for place, size in enumerate(sizes.tolist()):
        largest = max(largest, size)
        number = place - start
        if number and (number == at_once or (number + 1) * largest > max_total):
            found.append(slice(start, place))
            start, largest = place, size
    return [*found, slice(start, len(sizes))] if len(sizes) else []
