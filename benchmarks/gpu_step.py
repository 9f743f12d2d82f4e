"""Training steps on a GPU: speed, share of peak FLOPs, memory and data wait by size, precision and batch size.

Correctness comes first: the loss of a small batch must equal that of the CPU in float32, otherwise nothing is measured.
Steps use the real loader with its workers and are complete: forward, backward, clipping, optimizer.

    python benchmarks/gpu_step.py --json gpu.json               # base and large, bf16, tf32 and fp32, 8 to 256 samples
    python benchmarks/gpu_step.py --presets large --precisions bf16 --batch-sizes 64 --full
    python benchmarks/gpu_step.py --device cpu --presets tiny --precisions fp32 --batch-sizes 4 --steps 2 --simulated

By default, compilation and --asv-chunk-size 0 are measured at one batch size; --full measures all combinations.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import finish
from step_study import MASKING, SEED, Steps, new_encoder, read_steps
from torch._dynamo.utils import counters

from aam_train.data.loading import BatchRequest, TrainingPlan, default_workers, load
from aam_train.device.device import resolve_device
from aam_train.device.memory import reset_peak_memory
from aam_train.device.peak_flops import device_peak
from aam_train.device.precision import Precision, prepare_model, torch_settings
from aam_train.engine.gradients import gradients
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.options.compute import ComputeOptions
from aam_train.options.optimizer import OptimizerOptions
from aam_train.profiling.throughput import Work
from aam_train.reporting.console import ConsoleReporter
from aam_train.setup.compile_check import verify_compiled

# relative difference of the loss from the CPU's in float32
TOLERANCES = {"fp32": 1e-4, "tf32": 5e-3, "bf16": 2e-2, "fp16": 2e-2}
PARITY_SAMPLES, WARM_UP = 4, 3
MIDDLE = 64  # samples of a batch at which compilation and chunks are tried


@dataclass(frozen=True)
class Case:
    preset: str
    precision: str
    batch_size: int
    compiled: bool
    chunk_size: int

    def options(self) -> ComputeOptions:
        mixed: Any = self.precision if self.precision in ("bf16", "fp16") else "none"
        return ComputeOptions(mixed_precision=mixed, tf32=self.precision == "tf32", compile_model=self.compiled)


def cases(options: argparse.Namespace) -> list[Case]:
    """Return all combinations, or vary one setting at a time."""
    middle = MIDDLE if MIDDLE in options.batch_sizes else options.batch_sizes[len(options.batch_sizes) // 2]
    grid = itertools.product(
        options.presets, options.precisions, options.batch_sizes, sorted(set(options.compiled)), options.chunk_sizes
    )
    every = [Case(*values) for values in grid]
    first = options.chunk_sizes[0]
    if options.full:
        return every
    return [
        case
        for case in every
        if (not case.compiled and case.chunk_size == first)
        or (case.batch_size == middle and case.compiled + (case.chunk_size != first) == 1)
    ]


def build(case: Case, device: torch.device, reporter: ConsoleReporter) -> Step:
    model = new_encoder(case.preset).to(device)
    prepare_model(model, case.options(), reporter)
    precision = case.precision if case.precision in ("bf16", "fp16") else "none"
    return Step(model, device, precision=Precision(device, precision))


def parity(steps: Steps, options: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """Compare the loss of a few samples on the device with that on the CPU.

    Raises:
        SystemExit: they differ.
    """
    found, reporter = [], ConsoleReporter()
    batch = steps.maker(256)[BatchRequest(steps.rows[:PARITY_SAMPLES], 0, MASKING)]
    true = steps.objective.look_up(batch)
    counts = steps.objective.counts(batch, true)
    for preset in options.presets:
        exact = Step(new_encoder(preset), torch.device("cpu"))
        exact.train_mode()
        with torch.no_grad():
            right = exact.losses(batch, steps.objective, true, counts).total().item()
        for precision in options.precisions:
            case = Case(preset, precision, PARITY_SAMPLES, False, 256)
            with torch_settings(case.options(), device, reporter), torch.no_grad():
                step = build(case, device, reporter)
                step.train_mode()
                loss = step.losses(batch, steps.objective, true, counts).total().item()
            off = abs(loss - right) / abs(right)
            print(
                f"parity, {preset} {precision}: loss {loss:.6f}, CPU in fp32 {right:.6f}, off by {off:.1e}", flush=True
            )
            found.append({"preset": preset, "precision": precision, "loss": loss, "cpu": right, "relative": off})
            if not off <= TOLERANCES[precision]:
                sys.exit(f"the loss differs by more than {TOLERANCES[precision]:.0e}: nothing is measured")
    return found


def measure(case: Case, steps: Steps, device: torch.device, n_steps: int, workers: int) -> dict[str, Any]:
    """Measure the steps of one case, with the loader."""
    reporter, maker = ConsoleReporter(), steps.maker(case.chunk_size)
    plan = TrainingPlan(steps.rows, case.batch_size, SEED, MASKING)
    epochs = -(-(n_steps + WARM_UP) // plan.steps_per_epoch)
    with torch_settings(case.options(), device, reporter):
        step = build(case, device, reporter)
        update = Update(build_optimizer(step.model, OptimizerOptions()), step.precision.scaler(), 1.0)
        peak, compiling, graphs = device_peak(device, step.precision.name), 0.0, 0
        if case.compiled:
            torch._dynamo.reset()
            counters.clear()
            started = time.perf_counter()
            verify_compiled(step, steps.objective, maker[next(plan.epoch(0))[0]], reporter)
            compiling = time.perf_counter() - started
        reset_peak_memory(device)
        stream = itertools.islice(plan.stream(0, epochs), n_steps + WARM_UP)
        seconds, waits, work, memory = [], [], Work(), 0
        started = time.perf_counter()
        for number, batches in enumerate(load(maker, stream, workers=workers, device=device)):
            arrived = time.perf_counter()
            step.train_mode()
            update.optimizer.zero_grad(set_to_none=True)
            result = gradients(step, steps.objective, update, batches)
            update.apply()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            now = time.perf_counter()
            if number >= WARM_UP:
                seconds.append(now - started)
                waits.append(arrived - started)
                work += result.work
                memory = max(memory, result.peak_memory)
            started = now
        graphs = counters["stats"]["unique_graphs"] if case.compiled else 0
    total = sum(seconds)
    return {
        **asdict(case),
        "seconds": median(seconds),
        "samples_per_second": work.samples / total,
        "asvs_per_second": work.asvs / total,
        "peak_share": work.flops / total / peak.flops,
        "peak": peak.describe(),
        "data_wait": sum(waits) / total,
        "slot_padding": work.slot_padding,
        "token_padding": work.token_padding,
        "peak_memory": memory,
        "compile_seconds": compiling,
        "graphs": graphs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--presets", nargs="+", default=["base", "large"], choices=["tiny", "base", "large"])
    parser.add_argument("--precisions", nargs="+", default=["bf16", "tf32", "fp32"], choices=list(TOLERANCES))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[8, 32, 64, 128, 256])
    parser.add_argument("--compiled", nargs="+", type=int, default=[0, 1], choices=[0, 1])
    parser.add_argument("--chunk-sizes", nargs="+", type=int, default=[256, 0])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--workers", type=int, help="default: as in a run")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--simulated", action="store_true", help="use a simulated study even if ibd is present")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = resolve_device(options.device)
    workers = default_workers(device) if options.workers is None else options.workers
    steps = read_steps(simulated=options.simulated)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, {steps.name}: {len(steps.rows)} samples at {steps.depth:,} reads; {workers} loader processes")
    report: dict[str, Any] = {"device": name, "study": steps.name, "workers": workers}
    report |= {"parity": parity(steps, options, device), "runs": []}
    print(
        f"{'':28}{'s/step':>9}{'samples/s':>11}{'ASVs/s':>10}{'of peak':>9}{'wait':>7}{'empty slots':>13}"
        f"{'GB':>7}{'compile s':>11}{'graphs':>8}"
    )
    for case in cases(options):
        title = (
            f"{case.preset} {case.precision} B={case.batch_size}{' compiled' if case.compiled else ''}"
            f"{'' if case.chunk_size else ' one chunk'}"
        )
        try:
            run = measure(case, steps, device, options.steps, workers)
        except Exception as error:  # the other rows of the table are still useful
            print(f"{title:28} {type(error).__name__}: {str(error)[:90]}", flush=True)
            report["runs"].append({**asdict(case), "failed": str(error)})
            continue
        report["runs"].append(run)
        print(
            f"{title:28}{run['seconds']:9.3f}{run['samples_per_second']:11,.1f}{run['asvs_per_second']:10,.0f}"
            f"{run['peak_share']:9.1%}{run['data_wait']:7.1%}{run['slot_padding']:13.0%}"
            f"{run['peak_memory'] / 1e9:7.2f}{run['compile_seconds']:11.1f}{run['graphs']:8}",
            flush=True,
        )
    if report["runs"] and "peak" in report["runs"][0]:
        print(f"peak: {', '.join(dict.fromkeys(run['peak'] for run in report['runs'] if 'peak' in run))}")
    finish(report, options.json)


if __name__ == "__main__":
    main()
