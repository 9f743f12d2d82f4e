"""Memory and time of a corpus, compared with the same table in memory, and the loss of both.

numpy writes a study of --samples simulated samples (see scaling.py); `aam corpus add` makes a corpus of it. Two
processes then set up the same pretraining, on the table and on the corpus, make --batches batches of an epoch, train
--steps steps of the tiny preset, and print resident memory and time a nonzero count of each stage. Memory is that of
the process minus what it had with the libraries and the model, before it opened the data. Another part adds tables of
100, 125 and 150 bases, damages a byte of every file, and lists what `aam corpus check` names.

    python benchmarks/corpus.py --samples 1000000 --json corpus.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import finish
from scaling import BASES, BATCH, DEPTH, Memory, write_study

from aam_data.corpus.add import add_study
from aam_data.corpus.check import check_corpus
from aam_data.errors import DataError
from aam_data.options.corpus import CorpusOptions, CorpusStudyOptions
from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_models.config.encoder import ModelOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.options.run import RunOptions

LENGTHS = (100, 125, 150)


def config_of(folder: Path, source: str) -> PretrainConfig:
    """Return the settings of the run on the table or on the corpus."""
    run = RunOptions(folder / f"run-{source}", epochs=1, batch_size=BATCH, device="cpu", num_workers=0)
    sample, model = SampleOptions(rarefy_depth=DEPTH, max_bp=BASES), ModelOptions(preset="tiny")
    if source == "corpus":
        corpus = CorpusOptions(folder / "corpus")
        return PretrainConfig(TableOptions(), run, sample=sample, model=model, corpus=corpus)
    files = TableOptions(folder / "table.biom"), PhylogenyOptions(folder / "tree.nwk")
    return PretrainConfig(files[0], run, files[1], sample=sample, model=model)


def measure(folder: Path, source: str, batches: int, steps: int) -> dict[str, Any]:
    """Set up a run and train some steps, in this process; return memory and time of each stage, and the losses."""
    import torch

    from aam_data.preprocessing.rarefaction import Rarefier
    from aam_train.data.loading import TrainingPlan, load
    from aam_train.device.device import seed_step
    from aam_train.engine.gradients import gradients
    from aam_train.engine.optimizer import build_optimizer
    from aam_train.engine.update import Update
    from aam_train.parallel.strategy import Single
    from aam_train.recipes.inputs import read_search_inputs
    from aam_train.reporting.console import ConsoleReporter
    from aam_train.setup.encoder_setup import set_up_encoder
    from aam_train.setup.run_context import RunContext
    from aam_train.signals import StopFlag

    torch.set_num_threads(1)
    config, device = config_of(folder, source), torch.device("cpu")
    warm_up(config)
    memory, stages = Memory(), dict[str, dict[str, float]]()

    def stage(name: str, run: Callable[[], Any], n: int = 0) -> Any:
        memory.restart()
        started = time.process_time()
        result = run()
        seconds = time.process_time() - started
        stages[name] = {"cpu_seconds": seconds, "peak_mb": memory.peak(), "resident_mb": memory.resident()}
        if n:
            stages[name]["ns_per_nonzero"] = 1e9 * seconds / n
        return result

    study = stage("open", lambda: read_search_inputs(config))
    with StopFlag() as stop:
        context = RunContext(Single(device), stop, ConsoleReporter(quiet=True))
        setup = stage("set up the run", lambda: set_up_encoder(config, study, context, is_new=True))
        data = setup.data
        plan = TrainingPlan(data.rows["train"], BATCH, config.run.seed, setup.objective.corruptions)
        some = [step for step, _ in zip(plan.epoch(0), range(batches), strict=False)]
        rows = [requests[0].rows for requests in some]
        n = int(sum(study.table.features_per_sample()[each].sum() for each in rows))
        rarefier = Rarefier(study.table, DEPTH, config.run.seed)
        stage("take rows", lambda: [study.table.take_counts(each) for each in rows] and None, n)
        stage("rarefy", lambda: [rarefier.draw(each, 0) for each in rows] and None, n)
        stage("make batches", lambda: [None for _ in load(data.maker, iter(some), workers=0, device=device)], n)
        update = Update(build_optimizer(setup.step.model, config.optimizer, None), setup.step.precision.scaler(), 1.0)
        losses = list[float]()

        def train() -> None:
            setup.step.begin_training()
            for number, made in enumerate(load(data.maker, plan.stream(0, 1), workers=0, device=device)):
                if number == steps:
                    return
                setup.step.train_mode()
                seed_step(config.run.seed, number)
                update.optimizer.zero_grad()
                losses.append(gradients(setup.step, setup.objective, update, made).losses["total"])
                update.apply()

        stage(f"{steps} steps", train)
    return {"stages": stages, "losses": losses}


def warm_up(config: PretrainConfig) -> None:
    """Run the model on a study of some samples, so that libraries, weights and activations are in memory."""
    from aam_train.recipes.pretrain import pretrain

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_simulated_study(simulate_study(SimulateOptions(samples=64, asvs=4000, bases=BASES)), folder)
        files = TableOptions(folder / "table.biom"), PhylogenyOptions(folder / "tree.nwk")
        run = replace(config.run, output_dir=folder / "run")
        pretrain(PretrainConfig(files[0], run, files[1], sample=config.sample, model=config.model), quiet=True)


def damage_and_check(folder: Path) -> dict[str, Any]:
    """Make a corpus of three lengths, and flip a bit of every file; count those that the check names."""
    for length in LENGTHS:
        own = folder / f"bases-{length}"
        write_simulated_study(simulate_study(SimulateOptions(samples=40, bases=length, seed=length)), own)
        study = CorpusStudyOptions(f"bases-{length}", own / "tree.nwk", prefix_samples=True)
        add_study(folder / "lengths", study, TableOptions(own / "table.biom"))
    manifest, named = check_corpus(folder / "lengths"), []
    for name, files in manifest.folders().items():
        for file in files:
            path = folder / "lengths" / name / file
            content = path.read_bytes()
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            try:
                check_corpus(folder / "lengths")
                named.append("")
            except DataError as error:
                named.append(str(error.file) if error.file == path else "")
                example = str(error).removeprefix(str(folder))
            path.write_bytes(content)
    return {"bases": LENGTHS, "damaged": len(named), "named": sum(map(bool, named)), "example": example}


def in_a_process(folder: Path, *arguments: object) -> dict[str, Any]:
    words = [sys.executable, __file__, "--folder", str(folder), *map(str, arguments)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="keep the study and the corpus there, or use those that are there")
    parser.add_argument("--measure", choices=("table", "corpus"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        sys.stdout.write(json.dumps(measure(options.folder, options.measure, options.batches, options.steps)) + "\n")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        finish(compare(folder, options.samples, options.batches, options.steps), options.json)


def compare(folder: Path, samples: int, batches: int, steps: int) -> dict[str, Any]:
    """Make what is not there, measure both ways and print the numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"samples": samples}
    if not (folder / "corpus").exists():
        report["nonzeros"] = write_study(folder, samples)
        started = time.perf_counter()
        study = CorpusStudyOptions("simulated", folder / "tree.nwk")
        add_study(folder / "corpus", study, TableOptions(folder / "table.biom"))
        report["add_seconds"] = time.perf_counter() - started
    for source in ("table", "corpus"):
        report[source] = in_a_process(folder, "--measure", source, "--batches", batches, "--steps", steps)
        for stage, values in report[source]["stages"].items():
            print(f"{source:7} {stage:15}", *(f"{name} {value:,.1f}" for name, value in values.items()))
    losses = [report[source].pop("losses") for source in ("table", "corpus")]
    report["losses_equal"] = losses[0] == losses[1] and len(losses[0]) == steps
    print(f"losses of {steps} steps equal bit for bit: {report['losses_equal']}")
    with tempfile.TemporaryDirectory() as name:
        report["three_lengths"] = damage_and_check(Path(name))
    print(report["three_lengths"])
    return report


if __name__ == "__main__":
    main()
