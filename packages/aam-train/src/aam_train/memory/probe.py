"""Real training steps that leave no trace, to see what they need of memory."""

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
    """Runs steps of a run that has not begun and measures them; see `probing`.

    Attributes:
        sizes, peaks: of all steps so far, on all processes: bytes beyond what was held before the first step.
    """

    def __init__(self, step: Step, objective: Objective, update: Update, maker: BatchMaker) -> None:
        self.step, self.objective, self.update, self.maker = step, objective, update, maker
        self.sizes: list[BatchCost] = []
        self.peaks: list[int] = []
        self._held = used_memory(step.device)

    def run(self, parts: Sequence[RankPart], draw: int = FIXED_DRAW) -> int:
        """One step: forward, backward, update. Entered by all processes.

        Args:
            parts: what each of them has of the only micro-batch.

        Returns:
            Bytes that it needed beyond what was held before the first step, of the process that needed most.
        """
        ranks = self.step.strategy.ranks
        part = parts[ranks.rank]
        batch = self.maker[BatchRequest(part.rows, draw, self.objective.masking, part.activations)]
        release_free_memory()
        if isinstance(self.step, MeasuredStep):  # its phases begin to count anew; the highest of this step counts here
            self.step.memory.peaks.clear()
        reset_peak_memory(self.step.device)
        self.step.train_mode()
        self.update.optimizer.zero_grad(set_to_none=True)
        gradients(self.step, self.objective, self.update, [batch])
        self.update.apply()
        size = cost_of_batch(batch, sum(len(each.rows) for each in parts))
        of_all = ranks.all_gather([*size, self.step.peak_memory() - self._held]).astype(np.int64).tolist()
        self.sizes += [BatchCost(*each[:-1]) for each in of_all]
        self.peaks += [each[-1] for each in of_all]
        return int(max(each[-1] for each in of_all))

    def exhausted(self, parts: Sequence[RankPart], draw: int, peak: int) -> int:
        """A step of one process that found no memory left counts as if it had needed ``peak`` bytes, which it gives."""
        (part,) = parts
        self.update.optimizer.zero_grad(set_to_none=True)
        release_free_memory()
        batch = self.maker[BatchRequest(part.rows, draw, self.objective.masking, part.activations)]
        self.sizes.append(cost_of_batch(batch))
        self.peaks.append(peak)
        return peak


@contextlib.contextmanager
def probing(step: Step, objective: Objective, update: Update, maker: BatchMaker) -> Iterator[Probe]:
    """A `Probe` before the first step of a run: weights, random numbers, loss scale and the optimizer, which must be
    without a state yet, are afterwards as they were, bit for bit."""
    assert not update.optimizer.state, "a run that has begun cannot be probed"
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
    """Return memory that is free but still held, so that figures before and after can be compared."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return_freed_memory()
