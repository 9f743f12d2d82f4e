"""Memory per process with DDP and with FSDP: by formula, and measured on processes on this machine's CPUs.

``python benchmarks/parallel_memory.py [--preset large] [--processes 1 2 4] [--json FILE]``

"Held" counts the bytes of weights, gradients and optimizer state of the process that has most. The measured values are
the memory after a training step minus that before the model was created, and the peak within that step; with two
samples per process, so that weights outweigh activations.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import finish

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_data.splits.selection import make_splits
from aam_data.study.study import read_study
from aam_models.build import build_encoder
from aam_models.config.encoder import ModelOptions
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import build_data
from aam_train.engine.gradients import gradients
from aam_train.engine.optimizer import build_optimizer, optimizer_tensors
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.options.compute import ComputeOptions
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.options.run import RunOptions
from aam_train.parallel.environment import RankInfo
from aam_train.parallel.fsdp import FullyShard
from aam_train.parallel.launch import launch
from aam_train.parallel.process_group import process_group
from aam_train.parallel.strategy import Strategy
from aam_train.parallel.torch_compat import local_shard
from aam_train.reporting.records import Reporters
from aam_train.setup.architecture import new_encoder_config

WEIGHTS, EACH = {"unifrac": 1.0, "nucleotides": 1.0, "counts": 1.0}, 2


def resident(name: str) -> int:
    """Return the bytes of this process: VmRSS now, VmHWM at most."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def measure(settings: dict[str, Any], quiet: bool, rank_info: RankInfo) -> None:
    """Run two steps with one strategy in each process; the first process writes its memory."""
    torch.set_num_threads(1)
    folder = Path(settings["folder"])
    files = TableOptions(folder / "table.biom"), PhylogenyOptions(tree=folder / "tree.nwk")
    study = read_study(files[0], MetadataOptions(), files[1])
    config = PretrainConfig(files[0], RunOptions(folder / "unused"), files[1], sample=SampleOptions(rarefy_depth=100))
    (splits,) = make_splits(study, np.arange(study.table.n_samples), SplitOptions(test_size=0.0, val_size=0.0), 1, None)
    data = build_data(config, study, splits, depth=100, max_bp=150, reporter=Reporters())
    with process_group(ParallelOptions(data_parallel=True), ComputeOptions(), "cpu", rank_info) as ddp:
        sharding = settings["fsdp"]
        strategy: Strategy = ddp if sharding is None else FullyShard(ddp.device, ddp.ranks, sharding=sharding)
        before = resident("VmRSS")
        objective = build_objective(WEIGHTS, Sources(data.pairs))
        model = build_encoder(new_encoder_config(ModelOptions(preset=settings["preset"]), 150, WEIGHTS))
        step = Step(model, ddp.device, strategy=strategy)
        update = Update(build_optimizer(model, OptimizerOptions()), None, 1.0, strategy.clip)
        step.begin_training()
        for number in range(2):
            rows = data.rows["train"][EACH * rank_info.rank : EACH * (rank_info.rank + 1)]
            step.train_mode()
            update.optimizer.zero_grad(set_to_none=True)
            if number == 1:
                Path("/proc/self/clear_refs").write_text("5")  # reset the peak
            batch = data.maker[BatchRequest(rows, 0, objective.corruptions)]
            gradients(step, objective, update, [batch])
            update.apply()
        state = optimizer_tensors(model, update.optimizer).values()
        tensors = [*model.parameters(), *(p.grad for p in model.parameters() if p.grad is not None), *state]
        held = sum(tensor.numel() * tensor.element_size() for tensor in map(local_shard, tensors))
        most = int(ddp.ranks.all_gather([held]).max())
        found = {"held": most, "after": resident("VmRSS") - before, "most": resident("VmHWM") - before}
        if rank_info.rank == 0:
            (folder / "found.json").write_text(json.dumps(found))


def on_paper(preset: str, processes: int, sharding: str | None) -> float:
    """Return the bytes of weights, gradients and optimizer state by formula, gathered weights included."""
    with torch.device("meta"):
        model = build_encoder(new_encoder_config(ModelOptions(preset=preset), 150, WEIGHTS))
    everything = sum(p.numel() for p in model.parameters())
    units = [sum(p.numel() for p in unit.parameters()) for unit in (model.asv_encoder, model.sample_encoder)]
    if sharding is None:
        return 16 * everything
    gathered = 8 * max(units) if sharding == "full" else 4 * max(units) + 4 * sum(units)
    return 16 * sum(units) / processes + gathered + 16 * (everything - sum(units))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", default="large")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    print("| strategy | processes | by formula GB | held GB | after a step GB | peak in a step GB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        write_simulated_study(simulate_study(SimulateOptions(samples=12, asvs=40, bases=40, depth=300)), Path(folder))
        for processes in args.processes:
            for sharding in (None, "full", "gradients"):  # hybrid is full on one machine
                settings = {"preset": args.preset, "fsdp": sharding, "folder": folder}
                launch(measure, settings, quiet=True, processes=processes)
                found = json.loads((Path(folder) / "found.json").read_text())
                row = {"strategy": f"FSDP {sharding}" if sharding else "DDP", "processes": processes}
                row |= {"paper": on_paper(args.preset, processes, sharding), **found}
                rows.append(row)
                cells = " | ".join(f"{row[name] / 1e9:.2f}" for name in ("paper", "held", "after", "most"))
                print(f"| {row['strategy']} | {processes} | {cells} |", flush=True)
    finish({"preset": args.preset, "rows": rows}, args.json)


if __name__ == "__main__":
    main()
