"""Chunked inference split over processes: each computes a contiguous share, and all receive the results in order.

All processes make the same number of forward passes, because each pass of a sharded model is a collective: a process
with fewer batches repeats one and discards the result.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from aam_train.parallel.ranks import Ranks


def map_over_ranks(
    ranks: Ranks,
    items: np.ndarray,
    max_items: int,
    run: Callable[[np.ndarray], tuple[Tensor, ...]],
    *,
    one_row_each: bool = True,
    sizes: np.ndarray | None = None,
    max_total: int = 0,
) -> tuple[Tensor, ...]:
    """Run all items, at most ``max_items`` per call.

    Args:
        items: [R], at least one.
        run: returns tensors with the same number of rows; always the same number of tensors.
        one_row_each: whether each item has one row, which is checked.
        sizes: int64 [R]; the items of a call are padded to the largest of them. 1 by default.
        max_total: maximum padded size of a call, exceeded only by a single item; ``max_items`` by default.

    Returns:
        The tensors of all R items in order, on every process.
    """
    shares = np.array_split(items, ranks.size)
    sizes = np.ones(len(items), dtype=np.int64) if sizes is None else sizes
    calls = [split_calls(share, max_items, max_total or max_items) for share in np.array_split(sizes, ranks.size)]
    mine = shares[ranks.rank]
    results: list[tuple[Tensor, ...]] = []
    for number in range(max(map(len, calls))):
        part = mine[calls[ranks.rank][number]] if number < len(calls[ranks.rank]) else mine[:0]
        result = run(part if len(part) else items[:1])
        results.append(result if len(part) else tuple(tensor[:0] for tensor in result))
    columns = [torch.cat(column) for column in zip(*results, strict=True)]
    lengths = ranks.all_gather([len(columns[0])])[:, 0].astype(int).tolist()
    assert not one_row_each or lengths == [len(share) for share in shares]
    return tuple(ranks.collect(column, lengths) for column in columns)


def split_calls(sizes: np.ndarray, max_items: int, max_total: int) -> list[slice]:
    """Split items into non-empty runs of at most ``max_items`` items and padded size at most ``max_total``."""
    slices, start, largest = [], 0, 0
    for index, size in enumerate(sizes.tolist()):
        largest = max(largest, size)
        number = index - start
        if number and (number == max_items or (number + 1) * largest > max_total):
            slices.append(slice(start, index))
            start, largest = index, size
    return [*slices, slice(start, len(sizes))] if len(sizes) else []
