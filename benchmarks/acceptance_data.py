"""Acceptance metrics of aam-data, measured on real or simulated files.

    python benchmarks/acceptance_data.py                  # everything, about ten minutes on two cores
    python benchmarks/acceptance_data.py check corpus     # some parts

Parts: check, corpus, newick, unifrac, table, simulate, depth. check, newick, unifrac and depth need the studies in
../shared/data. The tests compare values with QIIME 2, scikit-bio and ssu.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from machine import DATA, finish

ROOT = Path(__file__).parents[1]
IBD = DATA / "ibd"
SCRIPTS = {
    "newick": ("newick", []),
    "unifrac": ("unifrac", []),
    "table": ("table_access", []),
    "simulate": ("simulate", []),
    "depth": ("ibd_depth", []),
}


def check() -> dict[str, Any]:
    """Time `aam check` on ibd with its full tree, target and groups, and check whether torch was imported."""
    files = ["--table", IBD / "table.biom", "--metadata", IBD / "metadata.tsv", "--tree", IBD / "insertion-tree.qza"]
    target = ["--metadata-column", "ibd", "--classifier", "--group-column", "host_subject_id"]
    arguments = [str(value) for value in ["check", *files, *target, "--json"]]
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "aam_cli", *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    code = (
        "import sys; from aam_cli.errors import run_program; from aam_cli.main import cli;"
        f"run_program(cli, {arguments!r}); print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found = {"seconds": median(times), "torch": done.stderr.strip() == "True"}
    print(f"aam check on ibd: {found['seconds']:.2f} s, torch imported: {found['torch']}")
    return found


def corpus() -> dict[str, Any]:
    """Run the corpus of broken files in one process; return their number, how they are rejected, and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "broken_files", folder, "4"]
        done = subprocess.run(command, cwd=ROOT / "tests", check=True, capture_output=True, text=True)
    ends = json.loads(done.stdout)
    statuses = [status for status, _, _ in ends["ends"].values()]
    found = {
        "cases": len(statuses),
        "refused": statuses.count(2),
        "accepted with a word": statuses.count(0),
        "peak MB": ends["mb"],
        "torch": ends["torch"],
    }
    print(f"broken files: {found}")
    return found


def script(name: str) -> dict[str, Any]:
    """Run another benchmark in this folder."""
    file, options = SCRIPTS[name]
    print(f"--- {file}")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        path = Path(__file__).with_name(f"{file}.py")
        subprocess.run([sys.executable, str(path), *options, "--json", str(report)], check=True)
        return dict(json.loads(report.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ["check", "corpus", *SCRIPTS]
    parser.add_argument("parts", nargs="*", choices=[[], *parts], metavar="PART", help=", ".join(parts))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    own = {"check": check, "corpus": corpus}
    found = {name: own[name]() if name in own else script(name) for name in options.parts or parts}
    finish(found, options.json)


if __name__ == "__main__":
    main()
