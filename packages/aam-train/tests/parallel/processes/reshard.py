"""One of several processes: saves a state with every strategy, or loads every saved state with every strategy.

``python reshard.py STUDY FOLDER save|load RESULTS``; without RANK in the environment it is one process alone.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from gradient_cases import CPU, Case, batch_of, build, read
from safetensors.torch import load_file, save_file
from torch import Tensor

from aam_train.data.run_data import RunData
from aam_train.engine.gradients import gradients
from aam_train.engine.optimizer import build_optimizer, optimizer_tensors
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.losses.objective import Objective
from aam_train.options.compute import ComputeOptions
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.parallel.ddp import DataParallel
from aam_train.parallel.fsdp import FullyShard
from aam_train.parallel.process_group import process_group
from aam_train.parallel.strategy import Single, Strategy, gather_full_tensors
from aam_train.runs.checkpoints import Checkpoints
from aam_train.runs.records import TrainingRecord
from aam_train.runs.saver import Saver, restore
from aam_train.runs.state import TrainerState

CASE = Case("state", {"unifrac": 0.7, "nucleotides": 2.0, "counts": 3.0}, dtype=torch.float32)
BATCH = 12


def state_of(step: Step, update: Update) -> dict[str, Tensor]:
    """Return full weights and optimizer state on rank 0."""
    weights = gather_full_tensors(step.strategy, step.model.state_dict())
    state = gather_full_tensors(step.strategy, optimizer_tensors(step.model, update.optimizer))
    both = {f"model.{name}": value for name, value in weights.items()} | state
    return {name: value.clone() for name, value in both.items()}


def ready(data: RunData, strategy: Strategy) -> tuple[Step, Objective, Update]:
    step, objective = build(CASE, data, strategy)
    return step, objective, Update(build_optimizer(step.model, OptimizerOptions(lr=1e-2)), None, 1.0, strategy.clip)


def train_step(data: RunData, step: Step, objective: Objective, update: Update, number: int) -> float:
    ranks = step.strategy.ranks
    rows = np.array_split(data.rows["train"][number * BATCH : (number + 1) * BATCH], ranks.size)[ranks.rank]
    step.train_mode()
    update.optimizer.zero_grad(set_to_none=True)
    result = gradients(step, objective, update, [batch_of(data, rows, CASE.dtype)])
    update.apply()
    return result.losses["total"]


def save(data: RunData, strategy: Strategy, folder: Path) -> None:
    step, objective, update = ready(data, strategy)
    step.begin_training()
    for number in (0, 1):
        train_step(data, step, objective, update, number)
    record = TrainingRecord("pretrain", [], [], {})
    saver = Saver(Checkpoints(folder), strategy, step.model, update, lambda: data.preprocessor, record, "val_loss", 10)
    saver.save_last(TrainerState(step=2, processes=strategy.ranks.size))
    state = state_of(step, update)
    loss = train_step(data, step, objective, update, 2)
    if strategy.ranks.is_rank_zero:
        save_file(state, folder / "state.safetensors")
        (folder / "next.json").write_text(json.dumps(loss))


def load(data: RunData, strategy: Strategy, folder: Path) -> tuple[int, float] | None:
    """Return how many tensors differ in any bit, and by how much the next loss differs."""
    step, objective, update = ready(data, strategy)
    name = Checkpoints(folder).resolve("last")
    assert name is not None
    progress = restore(folder / name, step.model, update.optimizer, strategy)
    assert progress.step == 2
    step.begin_training()
    found = state_of(step, update)
    loss = train_step(data, step, objective, update, 2)
    if not strategy.ranks.is_rank_zero:
        return None
    expected = load_file(folder / "state.safetensors")
    assert found.keys() == expected.keys()
    differ = sum(not torch.equal(found[key], value) for key, value in expected.items())
    return differ, abs(loss / json.loads((folder / "next.json").read_text()) - 1)


def main() -> None:
    torch.set_num_threads(1)
    data, folder, what = read(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
    alone = "RANK" not in os.environ
    context: AbstractContextManager[Strategy] = nullcontext(Single(CPU))
    if not alone:
        context = process_group(ParallelOptions(distributed=True), ComputeOptions(), "cpu")
    results = {}
    with context as strategy:
        ranks = strategy.ranks
        strategies: dict[str, Strategy] = {"single": strategy}
        if not alone:
            strategies = {
                "ddp": DataParallel(CPU, ranks),
                "fsdp": FullyShard(CPU, ranks),
                "parts": FullyShard(CPU, ranks, sharded_checkpoint=True),
            }
            if ranks.size % 2 == 0:  # as on two machines
                ranks.local_size = ranks.size // 2
                strategies["hybrid"] = FullyShard(CPU, ranks, sharding="hybrid", sharded_checkpoint=True)
        for kind, chosen in strategies.items():
            if what == "save":
                target = folder / f"{kind}-{ranks.size}"
                ranks.on_rank_zero(lambda target=target: target.mkdir())
                save(data, chosen, target)
            elif kind != "parts":
                for saved in sorted(folder.iterdir()):
                    results[f"{saved.name} into {kind}-{ranks.size}"] = load(data, chosen, saved)
        if ranks.is_rank_zero and what == "load":
            Path(sys.argv[4]).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
