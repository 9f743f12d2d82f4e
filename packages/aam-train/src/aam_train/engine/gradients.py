"""Gradients of one step: all its micro-batches, on all processes, as one mean. Axes: R processes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch

from aam_models.batch.batch import Batch
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.errors import TrainError
from aam_train.losses.objective import Counts, Objective, TrueValues
from aam_train.profiling.ranges import BACKWARD, FORWARD, record_range
from aam_train.profiling.throughput import Work


@dataclass(frozen=True, eq=False)
class StepResult:
    """What a step's backward passes gave; the same on all processes.

    Attributes:
        losses: the total and each term, of all processes.
        grad_norm: before clipping.
        not_finite: bool [R], the processes where something is not finite that others have no part in.
        rows: the samples of each process, in all its micro-batches.
        work: of all processes.
        peak_memory: bytes of the device, of the process that needs most.
    """

    losses: dict[str, float]
    grad_norm: float
    not_finite: np.ndarray
    rows: list[np.ndarray]
    work: Work
    peak_memory: int


def gradients(step: Step, objective: Objective, update: Update, batches: list[Batch]) -> StepResult:
    """Add up gradients of all micro-batches of a step, clipped.

    Raises:
        TrainError: the device's memory is exhausted; says by what, and what helps.
    """
    try:
        return _gradients(step, objective, update, batches)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainError(out_of_memory(batches)) from error


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an allocation failed: on a GPU PyTorch has a type for it, on a CPU only words."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _gradients(step: Step, objective: Objective, update: Update, batches: list[Batch]) -> StepResult:
    """See `gradients`.

    Nothing waits for the device until all of them are under way: then everything comes over in one transfer.
    """
    strategy = step.strategy
    ranks = strategy.ranks
    rows, true = _look_up(step, objective, batches)
    counts: Counts = {}
    for batch, values in zip(batches, true, strict=True):
        for name, count in objective.counts(batch, values).items():
            counts[name] = counts.get(name, 0.0) + count
    # which terms there are follows from the settings, so all processes have the same
    of_all = ranks.all_gather(list(counts.values())).sum(axis=0).tolist()
    counts = dict(zip(counts, of_all, strict=True))
    sums: dict[str, torch.Tensor] = {}
    for number, (batch, values) in enumerate(zip(batches, true, strict=True), 1):
        with strategy.micro_step(last=number == len(batches)):
            found = _micro_step(step, objective, update, batch, values, counts)
        sums = {name: value + sums[name] if name in sums else value for name, value in found.items()}
    strategy.sync_gradients(step.model)
    norm = update.clip()
    *own, grad_norm = torch.stack([*sums.values(), norm]).tolist()
    mine = asdict(step.work(batches))
    gathered = ranks.all_gather([*own, *mine.values(), step.peak_memory()])
    losses_of_all = dict(zip(sums, gathered[:, : len(sums)].sum(axis=0).tolist(), strict=True))
    del losses_of_all["unsound"]
    work = Work.from_sums(dict(zip(mine, gathered[:, len(sums) : -1].sum(axis=0).tolist(), strict=True)))
    by_name = dict(zip(sums, gathered.T, strict=False))
    alone = [values for name, values in by_name.items() if name not in {"total", *objective.gathered}]
    not_finite = ~np.isfinite(alone).all(axis=0) | (by_name["unsound"] > 0)
    return StepResult(losses_of_all, grad_norm, not_finite, rows, work, int(gathered[:, -1].max()))


def _micro_step(
    step: Step, objective: Objective, update: Update, batch: Batch, true: TrueValues, counts: Counts
) -> dict[str, torch.Tensor]:
    """Forward and backward pass of a micro-batch: its part of each loss, and ``unsound``, scalars without a graph.

    Nothing of the graph outlives this function: its nodes are small, but in a heap they lie between the large blocks,
    and keep the next micro-batch's from their places.
    """
    with record_range(FORWARD):
        losses = step.losses(batch, objective, true, counts)
        total = losses.total()
    with record_range(BACKWARD):
        # the mean over processes, which strategies give, is then the sum
        update.backward(total * step.strategy.ranks.size)
    values = {"total": total, **{name: term.value() for name, term in losses.terms.items()}}
    values["unsound"] = (~losses.sound).to(total.dtype)
    return {name: value.detach() for name, value in values.items()}


def _look_up(step: Step, objective: Objective, batches: list[Batch]) -> tuple[list[np.ndarray], list[TrueValues]]:
    """The samples of each process, and the true values of each micro-batch."""
    ranks = step.strategy.ranks
    own = [batch.sample_keys[:, 1].numpy() for batch in batches]
    rows = ranks.all_gather_indices(np.concatenate(own))
    cuts = np.cumsum(ranks.all_gather([len(part) for part in own]).astype(np.int64), axis=1)
    by_process = [np.split(of_one, ends[:-1]) for of_one, ends in zip(rows, cuts, strict=True)]
    by_micro_batch = zip(*by_process, strict=True)
    return rows, [
        objective.look_up(batch, everyone, ranks.rank) for batch, everyone in zip(batches, by_micro_batch, strict=True)
    ]


def out_of_memory(batches: list[Batch]) -> str:
    """What a batch is that the device has no memory for, and what helps."""
    largest = max(batches, key=lambda batch: batch.n_occurrences)
    return (
        f"the device's memory is exhausted by a batch of {largest.n_samples} samples with {largest.n_asvs:,} distinct "
        f"ASVs of up to {largest.tokens.shape[1]} tokens, the largest sample has {largest.longest:,} ASVs. "
        "Give --max-memory-gb, or lower --batch-size (--gradient-accumulation-steps keeps the step's size) or "
        "--max-asvs"
    )
