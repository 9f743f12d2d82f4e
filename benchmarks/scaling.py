"""Growth of time and memory with the size of a study: 1,000 to 1,000,000 samples of about 115 ASVs each.

    python benchmarks/scaling.py --json scaling.json
    python benchmarks/scaling.py --samples 1000 10000

numpy writes each study (a BIOM table with its by-sample half, metadata, a tree) to a temporary folder. One process
reads it and prepares all batches of an epoch, or --batches of them. Another runs `aam train` (tiny preset): for one
epoch of the smaller studies; for the larger ones it is stopped after --steps steps, and the epoch is their mean times
the number of steps ("sampled"). Memory is that of the process minus its libraries, after each stage and at its peak.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from machine import finish

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions
from aam_data.options.targets import TargetOptions
from aam_models.config.encoder import ModelOptions
from aam_train.errors import RunStopped
from aam_train.options.recipe_configs import TrainConfig
from aam_train.options.run import RunOptions

FEATURES, COMMON, BASES, DRAWN, DEPTH, BATCH = 100_000, 500, 100, 130, 1000, 32
SEED, BLOCK = 0, 20_000


def write_study(folder: Path, samples: int) -> int:
    """Write a study with about 115 ASVs per sample; return the number of non-zero counts."""
    random = np.random.default_rng(SEED)
    names = [row.tobytes() for row in random.choice(np.frombuffer(b"ACGT", np.uint8), (FEATURES, BASES))]
    ids = [f"study.{i:07d}" for i in range(samples)]
    pointers = [np.zeros(1, np.int64)]
    with h5py.File(folder / "table.biom", "w") as file:
        stored = {"shape": (0,), "maxshape": (None,), "chunks": (1 << 17,), "compression": "gzip"}
        data, indices = (
            file.create_dataset(f"sample/matrix/{name}", dtype=dtype, compression_opts=1, shuffle=True, **stored)
            for name, dtype in (("data", np.float64), ("indices", np.int32))
        )
        for first in range(0, samples, BLOCK):
            drawn = np.sort(draw(random, min(BLOCK, samples - first)))
            kept = np.ones(drawn.shape, dtype=bool)
            kept[:, 1:] = drawn[:, 1:] > drawn[:, :-1]
            pointers.append(pointers[-1][-1] + np.cumsum(kept.sum(axis=1)))
            for dataset, values in ((indices, drawn[kept]), (data, random.geometric(0.02, int(kept.sum())))):
                dataset.resize((int(pointers[-1][-1]),))
                dataset[-len(values) :] = values
        file["sample/matrix/indptr"] = np.concatenate(pointers).astype(np.int32)
        file["sample/ids"] = np.array(ids, dtype=h5py.string_dtype())
        file["observation/ids"] = np.array(names, dtype=h5py.string_dtype())
        nonzeros = int(pointers[-1][-1])
        file.attrs.update({"shape": (FEATURES, samples), "nnz": nonzeros, "format-version": (2, 1)})
    values = random.normal(size=samples)
    lines = (f"{i}\t{value:.6f}\tsite{n % 97}\n" for n, (i, value) in enumerate(zip(ids, values, strict=True)))
    (folder / "metadata.tsv").write_text("sample-id\tvalue\tsite\n" + "".join(lines))
    nodes = [name.decode() for name in names]
    while len(nodes) > 1:
        pairs = [f"({a}:0.5,{b}:0.5)" for a, b in zip(nodes[::2], nodes[1::2], strict=False)]
        nodes = pairs + nodes[len(pairs) * 2 :]
    (folder / "tree.nwk").write_text(f"{nodes[0]};\n")
    return nonzeros


def draw(random: np.random.Generator, samples: int) -> np.ndarray:
    """Draw features of samples [samples, DRAWN]; nine of ten are among the 500 common ones.

    A batch of 32 samples then has a quarter as many distinct ASVs as occurrences (a third in the ibd study).
    """
    shape = samples, DRAWN
    most = np.where(random.random(shape) < 0.9, COMMON, FEATURES)
    return (random.random(shape) * most).astype(np.int32)


def config_of(folder: Path) -> TrainConfig:
    """Return the config of the measured run."""
    return TrainConfig(
        table=TableOptions(folder / "table.biom"),
        metadata=MetadataOptions(folder / "metadata.tsv"),
        phylogeny=PhylogenyOptions(tree=folder / "tree.nwk"),
        target=TargetOptions(("value",)),
        run=RunOptions(folder / "run", epochs=1, batch_size=BATCH, device="cpu"),
        sample=SampleOptions(rarefy_depth=DEPTH, max_bp=BASES),
        model=ModelOptions(preset="tiny"),
    )


class Memory:
    """Memory of this process in MB, minus its memory at the start."""

    def __init__(self) -> None:
        self.base = 0.0
        self.base = self.resident()

    def resident(self) -> float:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # memory kept by the allocator is not data
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 - self.base

    def peak(self) -> float:
        """Return the peak since `restart`."""
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        assert found is not None
        return int(found[1]) * 1024 / 1e6 - self.base

    def restart(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")


def measure_data(folder: Path, batches: int) -> dict[str, dict[str, float]]:
    """Measure each stage of the data handling of `aam train`, in this process."""
    import torch

    from aam_data.checks.leaks import leak_notes
    from aam_data.splits.selection import make_splits, select_samples
    from aam_data.study.study import read_study
    from aam_train.data.loading import TrainingPlan, load
    from aam_train.data.run_data import build_data
    from aam_train.objectives.base import Sources
    from aam_train.objectives.registry import build_objective
    from aam_train.reporting.console import ConsoleReporter

    config, console = config_of(folder), ConsoleReporter(quiet=True)
    memory, stages = Memory(), dict[str, dict[str, float]]()

    def stage(name: str, run: Callable[[], Any]) -> Any:
        memory.restart()
        started, used = time.perf_counter(), time.process_time()
        result = run()
        seconds = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - used}
        peak = memory.peak()
        stages[name] = {**seconds, "peak_mb": peak, "resident_mb": memory.resident()}
        return result

    study = stage("read the study", lambda: read_study(config.table, config.metadata, config.phylogeny))
    rows = stage("select samples", lambda: select_samples(study, DEPTH, config.target).rows)
    splits = stage("split", lambda: make_splits(study, rows, config.split, 0, config.target)[0])
    stage("search leaks", lambda: leak_notes(study, splits, config.target, None, DEPTH))
    data = stage(
        "set up batches", lambda: build_data(config, study, splits, depth=DEPTH, max_bp=BASES, reporter=console)
    )
    masking = build_objective(config.weights(), Sources(data.pairs, masking=config.masking)).corruptions
    plan = stage("plan the run", lambda: TrainingPlan(data.rows["train"], BATCH, 0, masking))
    steps = stage("order of an epoch", lambda: list(plan.epoch(0)))
    made = steps[:batches] if batches else steps

    def run_through() -> None:
        for _ in load(data.maker, iter(made), workers=0, device=torch.device("cpu")):
            pass

    stage(f"make {len(made):,} of {len(steps):,} batches", run_through)
    found = stages[next(reversed(stages))]
    found["epoch_cpu_seconds"] = found["cpu_seconds"] / len(made) * len(steps)
    stage("ASVs of the validation draw", lambda: data.drawn_asvs("validation"))
    return stages


def measure_training(folder: Path, steps: int) -> dict[str, float]:
    """Measure `aam train`: an epoch, or this many steps of it (0 = all)."""
    arguments = [sys.executable, __file__, "--train", str(folder)]
    started = time.perf_counter()
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
    stopped, cpu_a_step = watch(process.pid, folder / "run" / "metrics.jsonl", steps)
    _, status, usage = os.wait4(process.pid, 0)  # memory and time of this process only
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode not in ((143,) if stopped else (0,)):
        raise SystemExit((folder / "log.txt").read_text())
    records = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    each = [record for record in records if record["kind"] == "step"]
    total = -(-split_sizes(folder)["train"] // BATCH)
    mean = float(np.mean([record["seconds"] for record in each[1:]]))
    return {
        "steps_run": len(each),
        "steps_of_epoch": total,
        "seconds_a_step": mean,
        "cpu_seconds_a_step": cpu_a_step,
        "epoch_seconds": mean * total,
        "epoch_cpu_seconds": cpu_a_step * total,
        "wait_share": float(np.mean([record["data_wait"] for record in each[1:]])),
        "seconds_in_all": seconds,
        "cpu_seconds": usage.ru_utime,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6,
    }


def train_once(folder: Path) -> int:
    """Run training in this process."""
    from aam_train.recipes.train import train

    try:
        train(config_of(folder), quiet=True)
    except RunStopped as stopped:
        return stopped.exit_code
    return 0


def watch(pid: int, metrics: Path, steps: int) -> tuple[bool, float]:
    """Wait until the process has ended, on its own or by our signal after ``steps`` steps (0: all).

    Returns:
        Whether it was our signal, and the CPU time of a step (of all steps except those before the first observation).
    """
    asked, looks = False, list[tuple[int, float]]()
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.2)
        done = metrics.read_text().count('"kind": "step"') if metrics.exists() else 0
        if done and not asked and (not looks or done > looks[-1][0]):
            looks.append((done, processor_time(pid)))
        if steps and done > steps and not asked:
            os.kill(pid, signal.SIGTERM)
            asked = True
    (first, before), (last, after) = looks[0], looks[-1]
    return asked, (after - before) / max(last - first, 1)


def processor_time(pid: int) -> float:
    """Return the seconds of user time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def split_sizes(folder: Path) -> dict[str, int]:
    parts = [line.split("\t")[1] for line in (folder / "run" / "splits.tsv").read_text().splitlines()[1:]]
    return {part: parts.count(part) for part in set(parts)}


def measure(samples: int, options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nonzeros = write_study(folder, samples)
        report: dict[str, Any] = {"samples": samples, "nonzeros": nonzeros}
        print(f"{samples:,} samples, {nonzeros:,} non-zero counts")
        ask = [sys.executable, __file__, "--one", name, "--batches", str(options.batches)]
        found = subprocess.run(ask, check=True, stdout=subprocess.PIPE, text=True)
        report["data"] = json.loads(found.stdout.splitlines()[-1])
        for stage, row in report["data"].items():
            print(
                f"  {stage:40}{row['seconds']:9.2f} s{row['cpu_seconds']:9.2f} s CPU"
                f"{row['peak_mb']:9.0f} MB peak{row['resident_mb']:9.0f} MB after",
                flush=True,
            )
        if options.steps >= 0:
            sampled = samples > options.whole
            report["training"] = row = measure_training(folder, options.steps if sampled else 0)
            print(
                f"  aam train: {row['epoch_seconds']:.1f} s per epoch ({'sampled, ' if sampled else ''}"
                f"{row['steps_run']:,} of {row['steps_of_epoch']:,} steps), {row['peak_mb']:.0f} MB peak, "
                f"{1e6 * row['epoch_seconds'] / nonzeros:.0f} us per non-zero count, CPU time "
                f"{1e6 * row['epoch_cpu_seconds'] / nonzeros:.0f}, "
                f"{row['wait_share']:.1%} of the time waiting for data",
                flush=True,
            )
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--whole", type=int, default=10_000, help="largest study that is trained for a whole epoch")
    parser.add_argument("--steps", type=int, default=100, help="of a sampled epoch; -1: do not train at all")
    parser.add_argument("--batches", type=int, default=0, help="of the data stage; 0: those of an epoch")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure_data(options.one, options.batches)))
        return
    if options.train:
        raise SystemExit(train_once(options.train))
    sizes = [measure(samples, options) for samples in options.samples]
    finish({"sizes": sizes, "batch_size": BATCH, "rarefy_depth": DEPTH, "features": FEATURES}, options.json)


if __name__ == "__main__":
    main()
