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


def run_shared(
    ranks: Ranks,
    things: np.ndarray,
    at_once: int,
    run: Callable[[np.ndarray], tuple[Tensor, ...]],
    *,
    one_row_each: bool = True,
) -> tuple[Tensor, ...]:
    """Run everything, at most ``at_once`` things a call.

    Args:
        things: [R], at least one.
        run: gives tensors of equally many rows, the same number of tensors always.
        one_row_each: whether each thing has one row, which is checked.

    Returns:
        The same tensors for all R things, in their order, on every process.
    """
    shares = np.array_split(things, ranks.size)
    mine = shares[ranks.rank]
    rounds = -(-len(shares[0]) // at_once)  # the first share is the largest
    found: list[tuple[Tensor, ...]] = []
    for number in range(rounds):
        part = mine[number * at_once : (number + 1) * at_once]
        result = run(part if len(part) else things[:1])
        found.append(result if len(part) else tuple(tensor[:0] for tensor in result))
    columns = [torch.cat(column) for column in zip(*found, strict=True)]
    sizes = ranks.numbers([len(columns[0])])[:, 0].astype(int).tolist()
    assert not one_row_each or sizes == [len(share) for share in shares]
    return tuple(ranks.collect(column, sizes) for column in columns)
