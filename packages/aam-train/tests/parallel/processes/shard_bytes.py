"""One of several processes: bytes of weights, gradients and optimizer state that it holds after a step.

``python shard_bytes.py STUDY RESULTS``; each strategy makes one step of the same model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from gradient_cases import CPU, read
from reshard import ready, train_step
from torch import Tensor

from aam_train.engine.optimizer import optimizer_tensors
from aam_train.options.compute import ComputeOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.parallel.ddp import DataParallel
from aam_train.parallel.fsdp import FullyShard
from aam_train.parallel.process_group import process_group
from aam_train.parallel.strategy import Strategy
from aam_train.parallel.torch_compat import is_sharded, local_shard


def main() -> None:
    torch.set_num_threads(1)
    data = read(Path(sys.argv[1]))
    with process_group(ParallelOptions(distributed=True), ComputeOptions(), "cpu") as joined:
        ranks = joined.ranks
        strategies: dict[str, Strategy] = {"ddp": DataParallel(CPU, ranks)}
        strategies |= {kind: FullyShard(CPU, ranks, sharding=kind) for kind in ("full", "gradients")}
        ranks.local_size = ranks.size // 2
        strategies["hybrid"] = FullyShard(CPU, ranks, sharding="hybrid")
        found = {}
        for name, strategy in strategies.items():
            step, objective, update = ready(data, strategy)
            step.begin_training()
            train_step(data, step, objective, update, 0)
            parameters = [p for p in step.model.parameters() if p.grad is not None]
            state = optimizer_tensors(step.model, update.optimizer).values()
            tensors: list[Tensor] = [*parameters, *(p.grad for p in parameters if p.grad is not None), *state]
            held = sum(t.numel() * t.element_size() for t in map(local_shard, tensors))
            units = sum(p.numel() for p in parameters if is_sharded(p))
            found[name] = ranks.all_gather([held, units, sum(p.numel() for p in parameters)]).tolist()
        if ranks.is_rank_zero:
            Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
