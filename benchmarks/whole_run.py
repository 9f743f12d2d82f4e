"""`aam pretrain` on ibd as a user runs it, from files to report: time, share of system time, and the cost of workers.

The share of system time is for the whole process, including start-up and validation: pages that are faulted in again at
every step would show there. Workers (--num-workers) prepare batches while the CPU also runs the model.

    python benchmarks/whole_run.py --json whole_run.json
    python benchmarks/whole_run.py --preset base --epochs 1 --workers 0
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from machine import DATA, finish

from aam_train.reporting.jsonl import read_records

IBD = DATA / "ibd"


def run(folder: Path, preset: str, epochs: int, workers: int) -> dict[str, Any]:
    """Run once in a separate process; speed is that of the median epoch."""
    files = ["--table", str(IBD / "table.biom"), "--tree", str(IBD / "insertion-tree.qza"), "--missing-tips", "ignore"]
    command = [sys.executable, "-m", "aam_cli", "pretrain", *files, "--preset", preset, "--output-dir", str(folder)]
    command += ["--epochs", str(epochs), "--num-workers", str(workers), "--rarefy-depth", "5000", "--patience", "0"]
    started, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    user, system = after.children_user - before.children_user, after.children_system - before.children_system
    found = [record for record in read_records(folder / "metrics.jsonl") if record["kind"] == "epoch"]
    return {
        "workers": workers,
        "seconds": time.perf_counter() - started,
        "user_seconds": user,
        "system_share": system / (user + system),
        "samples_per_second": median(record["samples_per_second"] for record in found),
        "data_wait": median(record["data_wait"] for record in found),
        "peak_share": median(record["peak_share"] for record in found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny", choices=["tiny", "base"])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"{'workers':>8}{'seconds':>9}{'user s':>9}{'system':>8}{'samples/s':>11}{'waiting':>9}{'of peak':>9}")
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for workers in options.workers:
            each = run(Path(folder) / str(workers), options.preset, options.epochs, workers)
            runs.append(each)
            print(
                f"{workers:8}{each['seconds']:9.1f}{each['user_seconds']:9.1f}{each['system_share']:8.1%}"
                f"{each['samples_per_second']:11.1f}{each['data_wait']:9.1%}{each['peak_share']:9.0%}",
                flush=True,
            )
    finish({"preset": options.preset, "epochs": options.epochs, "runs": runs}, options.json)


if __name__ == "__main__":
    main()
