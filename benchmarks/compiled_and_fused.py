"""Speed-up from --compile-model and fused optimizers: both variants take turns on the same batches in one process.

python benchmarks/compiled_and_fused.py --presets tiny base --json compiled.json
python benchmarks/compiled_and_fused.py --presets base --device cuda --precision bf16 --epoch
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import finish
from step_study import MASKING, SEED, Steps, new_encoder, read_steps
from torch._dynamo.utils import counters

from aam_train.data.loading import TrainingPlan
from aam_train.device.device import resolve_device
from aam_train.device.precision import Precision, prepare_model
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.step import Step
from aam_train.options.compute import ComputeOptions
from aam_train.options.optimizer import OptimizerOptions
from aam_train.reporting.console import ConsoleReporter
from aam_train.setup.compile_check import verify_compiled


def now(device: torch.device) -> tuple[float, float]:
    """Return wall and CPU seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter(), time.process_time()


def compiled(steps: Steps, preset: str, device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    """Time forward and backward passes with and without compiled blocks, on the same batches."""
    reporter, maker = ConsoleReporter(), steps.maker(256)
    batches = [requests[0] for requests in TrainingPlan(steps.rows, options.batch_size, SEED, MASKING).epoch(0)]
    ways = {}
    for name in ("eager", "compiled"):
        model = new_encoder(preset).to(device)
        prepare_model(model, ComputeOptions(compile_model=name == "compiled"), reporter)
        ways[name] = Step(model, device, precision=Precision(device, options.precision))
        ways[name].train_mode()
    counters.clear()
    started = time.perf_counter()
    verify_compiled(ways["compiled"], steps.objective, maker[batches[0]], reporter)
    check = time.perf_counter() - started
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for request in batches if options.epoch else batches[: options.batches]:
        batch = maker[request]
        true = steps.objective.look_up(batch)
        counts = steps.objective.counts(batch, true)
        for name, step in ways.items():
            step.model.zero_grad(set_to_none=True)
            wall, cpu = now(device)
            step.losses(batch, steps.objective, true, counts).total().backward()
            end = now(device)
            times[name].append((end[0] - wall, end[1] - cpu))
    found: dict[str, Any] = {
        name: {"seconds": median(t[0] for t in each), "cpu_seconds": median(t[1] for t in each)}
        for name, each in times.items()
    }
    ratios = [eager[1] / ours[1] for eager, ours in zip(times["eager"], times["compiled"], strict=True)]
    walls = [eager[0] / ours[0] for eager, ours in zip(times["eager"], times["compiled"], strict=True)]
    return found | {
        "check_seconds": check,
        "graphs": counters["stats"]["unique_graphs"],
        "steps": len(ratios),
        "ratio": median(walls),
        "cpu_ratio": median(ratios),
    }


def fused(preset: str, device: torch.device, repeats: int) -> dict[str, Any]:
    """Return the milliseconds of an update with and without the fused kernel."""
    model = new_encoder(preset).to(device)
    for p in model.parameters():
        p.grad = torch.full_like(p, 1e-3)
    found: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters())}
    for kind in ("adamw", "adam", "sgd"):
        ways = {name: build_optimizer(model, OptimizerOptions(optimizer=kind, lr=1e-9)) for name in ("fused", "plain")}  # type: ignore[arg-type]
        for group in ways["plain"].param_groups:
            group["fused"] = False
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, optimizer in ways.items():
                started = now(device)[0]
                optimizer.step()
                times[name].append(1000 * (now(device)[0] - started))
        found[kind] = {name: median(each[1:]) for name, each in times.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--presets", nargs="+", default=["tiny", "base"], choices=["tiny", "base", "large"])
    parser.add_argument("--precision", default="none", choices=["none", "bf16", "fp16"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--epoch", action="store_true", help="use all batches of an epoch and count the graphs")
    parser.add_argument("--simulated", action="store_true", help="use a simulated study even if ibd is present")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device, steps = resolve_device(options.device), read_steps(simulated=options.simulated)
    report: dict[str, Any] = {
        "study": steps.name,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "runs": {},
    }
    for preset in options.presets:
        run = compiled(steps, preset, device, options)
        updates = fused(preset, device, 15)
        report["runs"][preset] = {"compiled": run, "fused": updates}
        print(
            f"{preset}: {run['eager']['seconds']:.2f} s a step, compiled {run['compiled']['seconds']:.2f} s "
            f"({run['ratio']:.2f} x as fast, {run['cpu_ratio']:.2f} x by CPU time, {run['steps']} steps); "
            f"{run['check_seconds']:.0f} s for compiling and comparing, {run['graphs']} graphs"
        )
        each = ", ".join(
            f"{k} {updates[k]['plain']:.2f} -> {updates[k]['fused']:.2f} ms" for k in ("adamw", "adam", "sgd")
        )
        print(f"{preset}: update of {updates['parameters']:,} weights, fused: {each}", flush=True)
    finish(report, options.json)


if __name__ == "__main__":
    main()
