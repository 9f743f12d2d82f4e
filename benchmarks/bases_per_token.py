"""Training with 1, 2 and 4 bases per token: samples per second, memory, and the losses after equally many steps.

The table is gut-corpus at 2,000 reads in batches of 32 samples; every variant has the same batches, masks and targets.
Times are of one process in which the variants take turns, so their ratios do not depend on what else the machine does;
memory is the growth of a process that runs one variant. Losses are those of short runs (``--steps``), which also take
turns; they say what a step teaches, not what a finished encoder is worth.

    python benchmarks/bases_per_token.py --json bases_per_token.json
    python benchmarks/bases_per_token.py --preset base --rounds 2
    python benchmarks/bases_per_token.py --rounds 0 --memory-steps 0 --steps 150
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from machine import finish
from step_study import MASKING, SEED, Steps, new_encoder, read_corpus_steps

from aam_models.batch.batch import Batch
from aam_models.config.encoder import BASES_PER_TOKEN
from aam_train.data.loading import TrainingPlan
from aam_train.device.malloc import HeapWatch, keep_freed_memory, return_freed_memory
from aam_train.device.memory import peak_memory, used_memory
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.step import Step
from aam_train.objectives.unifrac import distance_head
from aam_train.options.optimizer import OptimizerOptions

CPU, BATCH_SIZE, CHUNK, LAST = torch.device("cpu"), 32, 256, 25
RATE = 1e-3


class Variant:
    """An encoder in training.

    Attributes:
        losses: of each step, by term.
        seconds: of each step: forward pass, backward pass, update.
    """

    def __init__(self, steps: Steps, preset: str, bases_per_token: int) -> None:
        self.steps = steps
        self.step = Step(new_encoder(preset, bases_per_token), CPU)
        self.optimizer = build_optimizer(self.step.model, OptimizerOptions(lr=RATE))
        self.losses: list[dict[str, float]] = []
        self.seconds: list[float] = []

    def calibrate(self, batch: Batch) -> None:
        """Fit the distance head to the pairs of a batch, as a run does before its first step."""
        distances = self.steps.objective.look_up(batch).values["unifrac"]
        with torch.no_grad():
            embeddings = self.step.encoder(batch).sample_embeddings
        i, j = torch.triu_indices(batch.n_samples, batch.n_samples, offset=1)
        distance_head(self.step.encoder).calibrate(embeddings[i], embeddings[j], distances[i, j])

    def train(self, batch: Batch) -> None:
        """Run one step."""
        objective = self.steps.objective
        true = objective.look_up(batch)
        started = time.perf_counter()
        self.step.train_mode()
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.step.losses(batch, objective, true, objective.counts(batch, true))
        total = losses.total()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.step.model.parameters(), 1.0)
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - started)
        self.losses.append({name: float(term.value().detach()) for name, term in losses.terms.items()})

    def operations(self, batch: Batch) -> int:
        """Count those of a training step."""
        return 3 * self.step.encoder.flops(batch).total


def batches(steps: Steps, number: int) -> list[Batch]:
    """Prepare the first batches of training, epoch after epoch."""
    maker, plan = steps.maker(CHUNK), TrainingPlan(steps.rows, BATCH_SIZE, SEED, MASKING)
    requests = plan.stream(0, 1 + number // plan.steps_per_epoch)
    return [maker[request] for (request,), _ in zip(requests, range(number), strict=False)]


def compare_times(steps: Steps, preset: str, rounds: int) -> dict[int, dict[str, float]]:
    """Run the variants in turns, ``rounds`` times on the same batches; return medians and ratios."""
    variants = {number: Variant(steps, preset, number) for number in BASES_PER_TOKEN}
    first, *others = batches(steps, 1 + rounds)
    for variant in variants.values():  # warm up
        variant.train(first)
        variant.seconds.clear()
    for batch in others:
        for variant in variants.values():
            variant.train(batch)
    alone = variants[1].seconds
    return {
        number: {
            "seconds": median(variant.seconds),
            "samples_per_second": BATCH_SIZE / median(variant.seconds),
            "speed": median(one / own for one, own in zip(alone, variant.seconds, strict=True)),
            "operations": variant.operations(first) / variants[1].operations(first),
        }
        for number, variant in variants.items()
    }


def measure_memory(preset: str, bases_per_token: int, number: int) -> dict[str, float]:
    """Train one variant in this process; return the growth of its memory."""
    steps = read_corpus_steps()
    variant, prepared = Variant(steps, preset, bases_per_token), batches(steps, number)
    before, heap = used_memory(CPU), HeapWatch()
    for batch in prepared:
        variant.train(batch)
        if heap.is_due(used_memory(CPU) - before):
            return_freed_memory()
    return {"peak_mb": (peak_memory(CPU) - before) / 1e6, "before_mb": before / 1e6}


def in_child(preset: str, bases_per_token: int, number: int) -> dict[str, float]:
    arguments = ["--variant", str(bases_per_token), "--preset", preset, "--memory-steps", str(number)]
    command = [sys.executable, __file__, *arguments, "--threads", str(torch.get_num_threads())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare_losses(steps: Steps, preset: str, number: int) -> dict[int, dict[str, float]]:
    """Train the variants in turns for ``number`` steps; return mean losses of the last 25."""
    variants = {each: Variant(steps, preset, each) for each in BASES_PER_TOKEN}
    prepared = batches(steps, number)
    for variant in variants.values():
        variant.calibrate(prepared[0])
    for done, batch in enumerate(prepared, 1):
        for variant in variants.values():
            variant.train(batch)
        if done % LAST == 0:
            shown = ", ".join(f"{each}: {in_words(last_losses(one))}" for each, one in variants.items())
            print(f"step {done}: {shown}", flush=True)
    return {each: {**last_losses(one), "seconds": sum(one.seconds)} for each, one in variants.items()}


def last_losses(variant: Variant) -> dict[str, float]:
    recent = variant.losses[-LAST:]
    return {name: mean(losses[name] for losses in recent) for name in recent[0]}


def in_words(losses: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in losses.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny", choices=["tiny", "base"])
    parser.add_argument("--rounds", type=int, default=8, help="timed steps of each variant")
    parser.add_argument("--memory-steps", type=int, default=8, help="steps whose memory is measured")
    parser.add_argument("--steps", type=int, default=0, help="steps whose losses are compared")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variant", type=int, choices=BASES_PER_TOKEN, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as a run does: otherwise large blocks are faulted in again at every step
    if options.variant:
        print(json.dumps(measure_memory(options.preset, options.variant, options.memory_steps)))
        return
    report: dict[str, Any] = {"preset": options.preset, "batch_size": BATCH_SIZE, "threads": options.threads}
    steps = read_corpus_steps()
    report["study"] = steps.name
    if options.rounds:
        report["times"] = compare_times(steps, options.preset, options.rounds)
        print(f"{'bases per token':>15}{'s/step':>9}{'samples/s':>11}{'speed':>7}{'operations':>12}")
        for number, found in report["times"].items():
            print(
                f"{number:15}{found['seconds']:9.2f}{found['samples_per_second']:11.1f}{found['speed']:7.2f}"
                f"{found['operations']:12.2f}",
                flush=True,
            )
    if options.memory_steps:
        found = {each: in_child(options.preset, each, options.memory_steps) for each in BASES_PER_TOKEN}
        report["memory"] = found
        for number, memory in found.items():
            part = memory["peak_mb"] / found[1]["peak_mb"]
            print(f"{number:15} bases per token: {memory['peak_mb']:.0f} MB more than before ({part:.2f})", flush=True)
    if options.steps:
        report["steps"], report["losses"] = options.steps, compare_losses(steps, options.preset, options.steps)
        for number, losses in report["losses"].items():
            print(f"{number:15} bases per token, after {options.steps} steps: {in_words(losses)}")
    finish(report, options.json)


if __name__ == "__main__":
    main()
