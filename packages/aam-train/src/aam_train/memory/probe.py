"""Trial training steps that measure memory and leave no trace."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from aam_train.data.loading import FIXED_DRAW, BatchMaker, BatchRequest
from aam_train.data.step_split import RankPart
from aam_train.device.malloc import return_freed_memory
from aam_train.device.memory import reset_peak_memory, used_memory
from aam_train.engine.gradients import gradients
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.losses.objective import Objective
from aam_train.memory.cost_model import BatchCost, cost_of_batch
from aam_train.memory.profile import MeasuredStep
from aam_train.parallel.torch_compat import local_shard


class Probe:
    """Measured trial steps before the first step of a run; see `probing`.

    Attributes:
        costs: sizes of all micro-batches so far, on all processes.
        peaks: bytes that each needed in addition to those in use before the first step.
    """

    def __init__(self, step: Step, objective: Objective, update: Update, maker: BatchMaker) -> None:
        self.step, self.objective, self.update, self.maker = step, objective, update, maker
        self.costs: list[BatchCost] = []
        self.peaks: list[int] = []
        self._used_before = used_memory(step.device)

    def run(self, parts: Sequence[RankPart], draw: int = FIXED_DRAW) -> int:
        """Run one step: forward, backward, update. A collective.

        Args:
            parts: each process's part of the only micro-batch.
            draw: rarefaction draw of the samples.

        Returns:
            Bytes needed in addition to those in use before the first step; the maximum over the processes.
        """
        ranks = self.step.strategy.ranks
        part = parts[ranks.rank]
        batch = self.maker[BatchRequest(part.rows, draw, self.objective.corruptions, part.activations)]
        release_free_memory()
        if isinstance(self.step, MeasuredStep):  # count only the phases of this step
            self.step.memory.peaks.clear()
        reset_peak_memory(self.step.device)
        self.step.train_mode()
        self.update.optimizer.zero_grad(set_to_none=True)
        gradients(self.step, self.objective, self.update, [batch])
        self.update.apply()
        cost = cost_of_batch(batch, sum(len(each.rows) for each in parts))
        measured = ranks.all_gather([*cost, self.step.peak_memory() - self._used_before]).astype(np.int64).tolist()
        self.costs += [BatchCost(*each[:-1]) for each in measured]
        self.peaks += [each[-1] for each in measured]
        return int(max(each[-1] for each in measured))

    def exhausted(self, parts: Sequence[RankPart], draw: int, peak: int) -> int:
        """Count a single process's step that ran out of memory as if it had needed ``peak`` bytes; return ``peak``."""
        (part,) = parts
        self.update.optimizer.zero_grad(set_to_none=True)
        release_free_memory()
        batch = self.maker[BatchRequest(part.rows, draw, self.objective.corruptions, part.activations)]
        self.costs.append(cost_of_batch(batch))
        self.peaks.append(peak)
        return peak


@contextlib.contextmanager
def probing(step: Step, objective: Objective, update: Update, maker: BatchMaker) -> Iterator[Probe]:
    """Yield a `Probe` before the first step of a run, and restore weights, random numbers, loss scale and optimizer
    afterwards, bit for bit; the optimizer must not have a state yet."""
    assert not update.optimizer.state, "a run that has started cannot be probed"
    weights = _weights(step)
    saved = {name: tensor.cpu().clone() for name, tensor in weights.items()}
    scaler, phases = update.state(), dict(step.memory.peaks) if isinstance(step, MeasuredStep) else {}
    devices = [step.device] if step.device.type == "cuda" else []
    release_free_memory()
    try:
        with torch.random.fork_rng(devices):
            yield Probe(step, objective, update, maker)
    finally:
        with torch.no_grad():
            for name, tensor in weights.items():
                tensor.copy_(saved[name])
        update.optimizer.zero_grad(set_to_none=True)
        update.optimizer.state.clear()
        update.restore(scaler)
        if isinstance(step, MeasuredStep):
            step.memory.peaks, step.memory.steps = phases, 0
        release_free_memory()
        reset_peak_memory(step.device)


def _weights(step: Step) -> dict[str, Tensor]:
    return {name: local_shard(tensor.detach()) for name, tensor in step.model.state_dict().items()}


def release_free_memory() -> None:
    """Return free memory to the system, so that measurements before and after are comparable."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return_freed_memory()
