"""--max-memory-gb on a table whose samples have from 2 to 5,000 ASVs: what training takes, and how fast it is.

Each run is a process of its own whose resident memory is watched from outside. The limit is about what is taken beyond
the memory that is resident before the first batch. Speed is compared with fixed batch sizes without a limit.

    python benchmarks/memory_limit.py --json memory_limit.json
    python benchmarks/memory_limit.py --runs 4 --no-speed
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import finish
from uneven import watched, write_study

from aam_data.config import PhylogenyOptions, SampleOptions, SplitOptions, TableOptions
from aam_models import padding
from aam_models.batch import Group
from aam_models.config import ModelOptions
from aam_train import fitting
from aam_train.config import RunOptions
from aam_train.device_memory import of_process, reset_peak
from aam_train.experiment import PretrainConfig
from aam_train.memory_config import MemoryOptions
from aam_train.reporting.jsonl import read_records
from aam_train.run_pretrain import run_pretrain

SAMPLES, FIXED = 64, (2, 8, 32)


def train(
    study: Path, output: Path, limit: float, batch_size: int, seed: int, epochs: int, *, one_group: bool = False
) -> dict[str, Any]:
    """One run, in this process; tells what was resident before the first batch, and how fast it trained."""
    before = 0
    original = fitting.find_batching

    def noting(*arguments: Any) -> Any:
        nonlocal before
        before = of_process("VmRSS")
        reset_peak(arguments[0].step.device)
        return original(*arguments)

    fitting.find_batching = noting
    if one_group:
        padding.cut_groups = lambda sizes: (Group(len(sizes), int(sizes[0])),)
    run_pretrain(
        PretrainConfig(
            TableOptions(study / "table.biom"),
            RunOptions(output, epochs=epochs, batch_size=batch_size, seed=seed, device="cpu", patience=0),
            PhylogenyOptions(tree=study / "tree.nwk"),
            sample=SampleOptions(rarefy_depth=0, token_limit=5000),
            split=SplitOptions(test_size=0.05, val_size=0.05),
            model=ModelOptions(preset="tiny"),
            memory=MemoryOptions(max_memory_gb=limit or None),
        ),
        quiet=True,
    )
    records = read_records(output / "metrics.jsonl")
    epoch = [record for record in records if record["kind"] == "epoch"][-1]
    return {"before": before, "samples_per_second": epoch["samples_per_second"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--no-speed", action="store_true", help="memory alone")
    parser.add_argument("--child", nargs=7, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.child:
        study, output, limit, batch_size, seed, epochs, groups = options.child
        found = train(
            Path(study), Path(output), float(limit), int(batch_size), int(seed), int(epochs), one_group=groups == "one"
        )
        print(json.dumps(found))
        return
    runs, speeds = [], {}
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder)
        write_study(study, SAMPLES)

        def run(
            name: str, limit: float, batch_size: int, seed: int, epochs: int, groups: str = "several"
        ) -> tuple[float, float]:
            arguments = [str(study), str(study / name), str(limit), str(batch_size), str(seed), str(epochs), groups]
            status, found, highest = watched(Path(__file__), ["--child", *arguments])
            if status:
                raise SystemExit(f"{name}: exit status {status}: {found['error']}")
            return (highest - found["before"]) / 1e9, found["samples_per_second"]

        print(f"{'limit GB':>9}{'taken GB':>9}{'samples/s':>11}")
        for number, limit in enumerate(np.linspace(1.0, 4.0, options.runs)):
            taken, speed = run(f"run-{number}", float(limit), 32, number, 1)
            runs.append({"limit_gb": float(limit), "taken_gb": taken, "samples_per_second": speed})
            print(f"{limit:9.2f}{taken:9.2f}{speed:11.2f}{'' if taken <= limit else '  ABOVE'}", flush=True)
        within = sum(each["taken_gb"] <= each["limit_gb"] for each in runs)
        print(f"{within} of {len(runs)} runs stayed within their limit")
        if not options.no_speed:
            for size in FIXED:
                taken, speed = run(f"fixed-{size}", 0.0, size, 0, 2)
                speeds[f"batches of {size}"] = {"samples_per_second": speed, "taken_gb": taken}
            taken, speed = run("one-group", 0.0, 32, 0, 2, "one")
            speeds["32, padded to the longest"] = {"samples_per_second": speed, "taken_gb": taken}
            for limit in (2.0, 4.0):
                taken, speed = run(f"limit-{limit}", limit, 32, 0, 2)
                speeds[f"limit of {limit:g} GB"] = {"samples_per_second": speed, "taken_gb": taken}
            best = max(speeds[f"batches of {size}"]["samples_per_second"] for size in FIXED)
            for name, found in speeds.items():
                found["share_of_best_fixed"] = found["samples_per_second"] / best
                print(
                    f"{name:20}{found['samples_per_second']:8.2f} samples/s ({found['share_of_best_fixed']:.0%} of the "
                    f"best fixed size), {found['taken_gb']:.2f} GB"
                )
    finish({"samples": SAMPLES, "runs": runs, "within": within, "speed": speeds}, options.json)


if __name__ == "__main__":
    main()
