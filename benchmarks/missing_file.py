"""Processor time until each command has told that files are missing.

python benchmarks/missing_file.py --json missing_file.json
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from machine import finish

MARK = 0.7  # seconds
TABLE, TREE = ["--table", "missing.biom"], ["--tree", "missing.nwk"]
TARGET = [*TABLE, "--metadata", "missing.tsv", "--metadata-column", "age"]
SETTINGS = """
[table]
table = "missing.biom"
[phylogeny]
tree = "missing.nwk"
[run]
output_dir = "run"
"""
COMMANDS = {
    "check": ["check", *TARGET],
    "pretrain": ["pretrain", *TABLE, *TREE, "--output-dir", "run"],
    "pretrain --config": ["pretrain", "--config", "run.toml"],
    "train": ["train", *TARGET, "--output-dir", "run"],
    "train --pretrained-encoder": ["train", *TARGET, "--pretrained-encoder", "missing", "--output-dir", "run"],
    "train --resume-from": ["train", *TARGET, "--resume-from", "missing", "--output-dir", "run"],
    "lr-find train": ["lr-find", "train", *TARGET, "--output-dir", "run"],
    "predict": ["predict", "--model", "missing", *TABLE, "--output", "new.tsv"],
    "evaluate": ["evaluate", "--model", "missing", *TABLE, "--output-dir", "new"],
    "embed": ["embed", "--model", "missing", *TABLE, "--output", "new.tsv"],
    "rf-baseline": ["rf-baseline", *TARGET, "--output", "new.tsv"],
    "rf-baseline --splits-from": ["rf-baseline", *TARGET, "--splits-from", "missing", "--output", "new.tsv"],
    "unifrac": ["unifrac", *TABLE, *TREE, "--output", "new.h5"],
    "show": ["show", "missing"],
    "slurm": ["slurm", "pretrain-single", "--", *TABLE, *TREE, "--output-dir", "run"],
}


def processor_time(arguments: list[str], folder: Path) -> float:
    """Run a command in ``folder`` and return the seconds of processor time that it took."""
    # an installed Python keeps compiled modules
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = os.times()
    command = [sys.executable, "-m", "aam_cli", *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    after = os.times()
    assert "missing" in result.stdout + result.stderr, result
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run.toml").write_text(SETTINGS)
        for name, arguments in COMMANDS.items():
            seconds[name] = median(processor_time(arguments, Path(folder)) for _ in range(options.repeats))
            print(f"{name:28}{seconds[name]:6.2f} s of processor time   mark: {MARK} s", flush=True)
    finish({"processor_seconds": seconds, "mark": MARK}, options.json)


if __name__ == "__main__":
    main()
