"""--max-memory-gb on a table whose samples have 2 to 5,000 ASVs: memory and speed of training.

Each run is a separate process whose resident memory is watched from outside. The limit applies to memory in addition to
that which is resident before the first batch. Speed (the median of several epochs) is compared with fixed batch sizes
without a limit, with and without --gradient-checkpointing: with the best of all sizes, and with the best of those that
stay within the limit, which is what a user would choose by hand.

    python benchmarks/memory_limit.py --json memory_limit.json
    python benchmarks/memory_limit.py --runs 4 --no-speed
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import finish
from skewed_samples import watched, write_study

from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_models.batch import padding
from aam_models.batch.batch import PaddedGroup
from aam_models.config.encoder import ModelOptions
from aam_train.device.host_memory import process_memory
from aam_train.device.memory import reset_peak_memory
from aam_train.memory import splitting
from aam_train.options.compute import ComputeOptions
from aam_train.options.memory import MemoryOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.options.run import RunOptions
from aam_train.recipes.pretrain import pretrain
from aam_train.reporting.jsonl import read_records
from aam_train.training import fit as fitting

SAMPLES, FIXED, LIMITS = 64, (2, 4, 8, 16, 32), (1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Case:
    """One run in a separate process.

    Attributes:
        limit: GB; 0 = none.
        recompute: --gradient-checkpointing.
        one_group: whether all samples of a batch are padded to its longest.
    """

    limit: float = 0.0
    batch_size: int = 32
    seed: int = 0
    epochs: int = 3
    recompute: bool = False
    one_group: bool = False


def train(study: Path, output: Path, case: Case) -> dict[str, Any]:
    """Run training in this process; print the resident memory before the first batch and the speed."""
    before = 0
    original = fitting.fit_batch_size

    def noting(*arguments: Any) -> Any:
        nonlocal before
        before = process_memory("VmRSS")
        reset_peak_memory(arguments[0].step.device)
        return original(*arguments)

    fitting.fit_batch_size = noting
    if case.one_group:
        padding.cut_groups = splitting.cut_groups = lambda sizes: (PaddedGroup(len(sizes), int(sizes[0])),)
    pretrain(
        PretrainConfig(
            TableOptions(study / "table.biom"),
            RunOptions(
                output, epochs=case.epochs, batch_size=case.batch_size, seed=case.seed, device="cpu", patience=0
            ),
            PhylogenyOptions(tree=study / "tree.nwk"),
            sample=SampleOptions(rarefy_depth=0, max_asvs=5000),
            split=SplitOptions(test_size=0.05, val_size=0.05),
            model=ModelOptions(preset="tiny"),
            compute=ComputeOptions(gradient_checkpointing=case.recompute or None),
            memory=MemoryOptions(max_memory_gb=case.limit or None),
        ),
        quiet=True,
    )
    records = read_records(output / "metrics.jsonl")
    epochs = [record["samples_per_second"] for record in records if record["kind"] == "epoch"]
    return {"before": before, "samples_per_second": float(np.median(epochs))}


def speeds(run: Any, sizes: list[int]) -> list[dict[str, Any]]:
    """Compare memory limits with fixed batch sizes."""
    cases = {f"batches of {size}": Case(batch_size=size) for size in sizes}
    cases |= {f"{size}, recomputed": Case(batch_size=size, recompute=True) for size in sizes}
    cases |= {"32, padded to the longest": Case(one_group=True)}
    cases |= {f"limit of {limit:g} GB": Case(limit) for limit in LIMITS}
    found = [{"name": name, **asdict(case), **run(name.replace(" ", "-"), case)} for name, case in cases.items()]
    fixed = [each for each in found if not each["limit"]]
    for each in found:
        each["share_of_best"] = each["samples_per_second"] / max(one["samples_per_second"] for one in fixed)
        text = f"{each['name']:26}{each['samples_per_second']:6.2f} samples/s, {each['taken_gb']:.2f} GB: "
        text += f"{each['share_of_best']:.2f} of the best fixed size"
        if each["limit"]:
            within = [one for one in fixed if one["taken_gb"] <= each["limit"]]
            best = max(within, key=lambda one: one["samples_per_second"], default=None)
            each["best_within"] = None if best is None else best["name"]
            if best is not None:
                each["share_of_best_within"] = each["samples_per_second"] / best["samples_per_second"]
                text += f", {each['share_of_best_within']:.2f} of the best fixed size within it ({best['name']})"
        print(text, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--no-speed", action="store_true", help="measure only memory")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(FIXED), help="fixed batch sizes")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.child:
        study, output, case = options.child
        print(json.dumps(train(Path(study), Path(output), Case(**json.loads(case)))))
        return
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder)
        write_study(study, SAMPLES)

        def run(name: str, case: Case) -> dict[str, float]:
            arguments = ["--child", str(study), str(study / name), json.dumps(asdict(case))]
            status, found, highest = watched(Path(__file__), arguments)
            if status:
                raise SystemExit(f"{name}: exit status {status}: {found['error']}")
            return {
                "taken_gb": (highest - found["before"]) / 1e9,
                "samples_per_second": found["samples_per_second"],
            }

        runs = []
        for number, limit in enumerate(np.linspace(1.0, 4.0, options.runs)):
            if not number:
                print(f"{'limit GB':>9}{'batch':>6}{'taken GB':>9}{'samples/s':>11}")
            # batches of 8 are four times as many steps, in which gaps of the heap have more time to grow
            case = Case(float(limit), batch_size=(32, 8)[number % 2], seed=number, epochs=2)
            runs.append({**asdict(case), **run(f"run-{number}", case)})
            taken, speed = runs[-1]["taken_gb"], runs[-1]["samples_per_second"]
            above = "" if taken <= limit else "  ABOVE"
            print(f"{limit:9.2f}{case.batch_size:6}{taken:9.2f}{speed:11.2f}{above}", flush=True)
        within = sum(each["taken_gb"] <= each["limit"] for each in runs)
        print(f"{within} of {len(runs)} runs stayed within their limit")
        speed = [] if options.no_speed else speeds(run, options.sizes)
    finish({"samples": SAMPLES, "runs": runs, "within": within, "speed": speed}, options.json)


if __name__ == "__main__":
    main()
