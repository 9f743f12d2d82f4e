"""Gradients of one step, over all its micro-batches and processes. Axes: R processes."""

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
    """Result of a step's backward passes; the same on all processes.

    Attributes:
        losses: the total and each term, over all processes.
        grad_norm: before clipping.
        not_finite: bool [R], processes with a non-finite value of their own.
        rows: the samples of each process, in all its micro-batches.
        work: over all processes.
        peak_memory: maximum over the processes, in bytes of the device.
    """

    losses: dict[str, float]
    grad_norm: float
    not_finite: np.ndarray
    rows: list[np.ndarray]
    work: Work
    peak_memory: int


def gradients(step: Step, objective: Objective, update: Update, batches: list[Batch]) -> StepResult:
    """Accumulate and clip the gradients of all micro-batches of a step.

    Raises:
        TrainError: the device is out of memory; describes the batch and names remedies.
    """
    try:
        return _gradients(step, objective, update, batches)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainError(out_of_memory(batches)) from error


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an allocation failed: PyTorch has an error type for GPUs, but only a message for CPUs."""
    texts = "can't allocate memory", "could not create a primitive"  # the latter from oneDNN
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in texts)


def _gradients(step: Step, objective: Objective, update: Update, batches: list[Batch]) -> StepResult:
    """Compute the result of `gradients`.

    Nothing waits for the device until all micro-batches are queued; then a single transfer fetches all results.
    """
    strategy = step.strategy
    ranks = strategy.ranks
    rows, true = _look_up(step, objective, batches)
    counts: Counts = {}
    for batch, values in zip(batches, true, strict=True):
        for name, count in objective.counts(batch, values).items():
            counts[name] = counts.get(name, 0.0) + count
    # the terms follow from the settings, so they are the same on all processes
    global_counts = ranks.all_gather(list(counts.values())).sum(axis=0).tolist()
    counts = dict(zip(counts, global_counts, strict=True))
    sums: dict[str, torch.Tensor] = {}
    for number, (batch, values) in enumerate(zip(batches, true, strict=True), 1):
        with strategy.micro_step(last=number == len(batches)):
            micro_sums = _micro_step(step, objective, update, batch, values, counts)
        sums = {name: value + sums[name] if name in sums else value for name, value in micro_sums.items()}
    strategy.sync_gradients(step.model)
    norm = update.clip()
    *own, grad_norm = torch.stack([*sums.values(), norm]).tolist()
    own_work = asdict(step.work(batches))
    gathered = ranks.all_gather([*own, *own_work.values(), step.peak_memory()])
    total_losses = dict(zip(sums, gathered[:, : len(sums)].sum(axis=0).tolist(), strict=True))
    del total_losses["unsound"]
    work = Work.from_sums(dict(zip(own_work, gathered[:, len(sums) : -1].sum(axis=0).tolist(), strict=True)))
    by_name = dict(zip(sums, gathered.T, strict=False))
    per_process = [values for name, values in by_name.items() if name not in {"total", *objective.gathered}]
    not_finite = ~np.isfinite(per_process).all(axis=0) | (by_name["unsound"] > 0)
    return StepResult(total_losses, grad_norm, not_finite, rows, work, int(gathered[:, -1].max()))


def _micro_step(
    step: Step, objective: Objective, update: Update, batch: Batch, true: TrueValues, counts: Counts
) -> dict[str, torch.Tensor]:
    """Run a micro-batch forward and backward; return its part of each loss and ``unsound``, as scalars without graph.

    The graph must not outlive this function: its nodes are small, but they lie between large blocks of the heap and
    would prevent the next micro-batch from reusing that memory.
    """
    with record_range(FORWARD):
        losses = step.losses(batch, objective, true, counts)
        total = losses.total()
    with record_range(BACKWARD):
        # strategies average over processes; this turns the mean into the sum
        update.backward(total * step.strategy.ranks.size)
    values = {"total": total, **{name: term.value() for name, term in losses.terms.items()}}
    values["unsound"] = (~losses.sound).to(total.dtype)
    return {name: value.detach() for name, value in values.items()}


def _look_up(step: Step, objective: Objective, batches: list[Batch]) -> tuple[list[np.ndarray], list[TrueValues]]:
    """Return the samples of each process and the true values of each micro-batch."""
    ranks = step.strategy.ranks
    own = [batch.sample_keys[:, 1].numpy() for batch in batches]
    rows = ranks.all_gather_indices(np.concatenate(own))
    cuts = np.cumsum(ranks.all_gather([len(part) for part in own]).astype(np.int64), axis=1)
    by_process = [np.split(process_rows, ends[:-1]) for process_rows, ends in zip(rows, cuts, strict=True)]
    by_micro_batch = zip(*by_process, strict=True)
    return rows, [
        objective.look_up(batch, all_rows, ranks.rank) for batch, all_rows in zip(batches, by_micro_batch, strict=True)
    ]


def out_of_memory(batches: list[Batch]) -> str:
    """Describe the largest batch of a step that ran out of memory, and name remedies."""
    largest = max(batches, key=lambda batch: batch.n_occurrences)
    return (
        f"the device's memory is exhausted by a batch of {largest.n_samples} samples with {largest.n_asvs:,} distinct "
        f"ASVs of up to {largest.tokens.shape[1]} tokens, the largest sample has {largest.longest:,} ASVs. "
        "Set --max-memory-gb, or lower --batch-size (--gradient-accumulation-steps keeps the step's size) or "
        "--max-asvs"
    )
