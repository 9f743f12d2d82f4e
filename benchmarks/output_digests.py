"""Digests of the output files of fixed runs, to show that a code change alters no result.

Run it before and after a change on one machine, then compare:

    python benchmarks/output_digests.py --json before.json
    python benchmarks/output_digests.py --json after.json --compare before.json

The runs: `aam demo`; `aam train` on a simulated study with categories and quantiles, with classes and experts, and
with a pretraining loss; pretraining with every objective; a run that stops half-way and resumes; `aam predict`,
`aam evaluate` and `aam embed`. Weights and tables are hashed as bytes; times and memory in metrics logs, and random
forests in reports, are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

SIMULATE = "simulate --samples 120 --asvs 150 --seed 7 --output-dir study"
DATA = "--table study/table.biom --metadata study/metadata.tsv --group-column host"
TREE = "--tree study/tree.nwk"
SMALL = "--preset tiny --batch-size 16 --rarefy-depth 500 --seed 3 --device cpu"
QUANTILES = f"{DATA} --metadata-column degree_days --loss-type quantile --categorical-columns season,location"
CLASSES = f"{DATA} --metadata-column season --classifier --regressor-hidden-dims 16"
RUNS = (
    "demo --output-dir demo",
    SIMULATE,
    f"pretrain --table study/table.biom {TREE} --unifrac-metric combined {SMALL} --epochs 3 --output-dir pretrain",
    f"train {QUANTILES} --pretrained-encoder pretrain --seed 3 --batch-size 16 --epochs 3 --output-dir quantiles",
    f"train {CLASSES} --moe-experts 2 --moe-routing location --class-weights auto {SMALL} --epochs 3 "
    "--output-dir classes",
    f"train {QUANTILES} {TREE} --masked-base-weight 0.5 --masked-count-weight 0.5 {SMALL} --epochs 2 "
    "--output-dir joint",
    f"train {QUANTILES} --pretrained-encoder pretrain --freeze-base --seed 3 --epochs 3 --output-dir frozen",
    f"train {QUANTILES} {SMALL} --epochs 2 --output-dir resumed",
    f"train {QUANTILES} {SMALL} --epochs 4 --resume-from auto --output-dir resumed",
    "predict --model classes --table study/table.biom --metadata study/metadata.tsv --output predicted.tsv",
    "evaluate --model quantiles --table study/table.biom --metadata study/metadata.tsv --output-dir evaluated "
    "--splits-from quantiles",
    "embed --model pretrain --table study/table.biom --output embeddings.tsv",
)
HASHED = {".safetensors", ".tsv"}
TIMES = ("seconds", "per_second", "wait", "peak", "memory", "flops", "share", "time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="output file of the digests")
    parser.add_argument("--compare", type=Path, help="digests of another state of the code")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in RUNS:
            print("aam", line, flush=True)
            done = subprocess.run([sys.executable, "-m", "aam_cli", *line.split()], cwd=folder, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
            if done.returncode:
                sys.exit(done.stdout)
        digests = digests_of(Path(folder))
    args.json.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
    print(f"{len(digests)} outputs")
    if args.compare:
        compare(digests, json.loads(args.compare.read_text("utf-8")))


def digests_of(folder: Path) -> dict[str, str]:
    """Hash every output file by its path below ``folder``."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix in HASHED:
            digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name == "metrics.jsonl":
            records = [without_times(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
            digests[name] = hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest()
        elif path.name == "results.json":
            results = without_forests(json.loads(path.read_text("utf-8")))
            digests[name] = hashlib.sha256(json.dumps(results, sort_keys=True).encode()).hexdigest()
    return digests


def without_times(record: object) -> object:
    """Remove from a record the values that differ between two runs of the same code."""
    if not isinstance(record, dict):
        return record
    return {key: without_times(value) for key, value in record.items() if not any(word in key for word in TIMES)}


def without_forests(results: object) -> object:
    """Leave out random forests: their threads add up trees in any order, so that the last digit varies."""
    if not isinstance(results, dict):
        return results
    return {key: without_forests(value) for key, value in results.items() if "forest" not in key}


def compare(now: dict[str, str], before: dict[str, str]) -> None:
    """Print the differences; exit with 1 if there are any."""
    different = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
    print(f"{len(now.keys() & before.keys()) - len(set(different) & now.keys() & before.keys())} equal")
    for name in different:
        print("differs:", name)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
