"""Time to read the tree and compute UniFrac, compared with ssu (if installed) and scikit-bio (on request).

    python benchmarks/unifrac.py                          # the ibd study in ../shared/data
    python benchmarks/unifrac.py --samples 5000 --repeats 1 --metrics unifrac     # its samples, drawn again and thinned
    python benchmarks/unifrac.py --scikit-bio --json unifrac.json

Prints medians of wall time and CPU time, and their ratios within this run; aam and the other programs take turns, so
that other work on the machine affects all of them. Set OMP_NUM_THREADS to compare at the same number of threads. At the
end, it prints the targets: `aam unifrac` from input files to output file, compared with ssu.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, get_args

import h5py
import numpy as np
from biom.table import Table
from scipy.sparse import csc_matrix, csr_matrix

from aam_data.options.base import UnifracMetric
from aam_data.readers.biom.table import read_table
from aam_data.readers.newick.tree import NewickTree, format_newick, read_newick
from aam_data.sequences import build_sequences
from aam_data.study.phylogeny import Phylogeny
from aam_data.table import CountTable, SampleCounts, table_from_rows
from aam_data.unifrac.unifrac import faith_pd, unifrac_blocks, unifrac_distances

IBD = Path(__file__).parents[2] / "shared" / "data" / "ibd"
BATCH = 32
ALPHA = 0.5  # of generalized UniFrac
SSU = {
    "unifrac": ["-m", "unweighted"],
    "weighted": ["-m", "weighted_normalized"],
    "weighted_unnormalized": ["-m", "weighted_unnormalized"],
    "generalized": ["-m", "generalized", "-a", str(ALPHA)],
}
SCIKIT_BIO: dict[str, dict[str, Any]] = {
    "unifrac": {"metric": "unweighted_unifrac"},
    "weighted": {"metric": "weighted_unifrac", "normalized": True},
    "weighted_unnormalized": {"metric": "weighted_unifrac"},
}
# Minimum number of samples (ibd has 470), and the maximum time of `aam unifrac` relative to ssu.
MARKS = dict.fromkeys(SSU, ((470, 1.0),))


class Seconds(NamedTuple):
    """Medians over several runs."""

    passed: float
    processor: float


def main() -> None:
    options = parse_arguments()
    table = read_table(options.table).table
    if options.samples:
        table = grow(table, options.samples)
    results: dict[str, dict[str, Seconds]] = {}
    reading, tree = timed(lambda: read_newick(options.tree), options.repeats)
    phylogeny = time_arrays(results, reading, tree, table, options)
    with tempfile.TemporaryDirectory() as folder:
        files = write_inputs(Path(folder), tree, table, phylogeny)
        time_commands(results, files, options)
        if options.scikit_bio:
            time_scikit_bio(results, files, table, phylogeny, options.metrics)
    report = {
        "study": {
            "table": options.table.name,
            "samples": table.n_samples,
            "asvs": table.n_features,
            "tips": tree.n_tips,
            "tips_of_study": phylogeny.n_tips,
        },
        "repeats": options.repeats,
        "seconds": {what: {who: time._asdict() for who, time in row.items()} for what, row in results.items()},
        "marks": marks(results, table.n_samples),
        **machine(),
    }
    print_report(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=IBD / "table.biom", help="feature table; ids are sequences")
    parser.add_argument("--tree", type=Path, default=IBD / "insertion-tree.qza")
    parser.add_argument("--samples", type=int, default=0, help="grow the table to this many samples")
    parser.add_argument("--metrics", nargs="+", choices=get_args(UnifracMetric), default=get_args(UnifracMetric))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scikit-bio", action="store_true", help="time scikit-bio too, once (minutes)")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()
    for path in (options.table, options.tree):
        if not path.exists():
            parser.error(f"{path} does not exist: give --table and --tree")
    return options


def timed(run: Callable[[], Any], repeats: int) -> tuple[Seconds, Any]:
    """Return the median seconds and the last result."""
    times = []
    for _ in range(repeats):
        start, start_processor = time.perf_counter(), time.process_time()
        result = run()
        times.append((time.perf_counter() - start, time.process_time() - start_processor))
    return medians(times), result


def medians(times: list[tuple[float, float]]) -> Seconds:
    passed, processor = zip(*times, strict=True)
    return Seconds(median(passed), median(processor))


def grow(table: CountTable, n_samples: int) -> CountTable:
    """Draw samples with replacement, each with about half of its reads."""
    rng = np.random.default_rng(0)
    counts = table.take_counts(rng.integers(0, table.n_samples, n_samples))
    thinned = rng.binomial(counts.counts, 0.5)
    kept = thinned > 0
    indptr = np.concatenate([[0], np.cumsum(kept)])[counts.indptr]
    rows = SampleCounts(indptr, counts.indices[kept], thinned[kept])
    ids = np.array([f"s{i}" for i in range(n_samples)], dtype=object)
    return table_from_rows(rows, ids, table.feature_ids)


def time_arrays(
    results: dict[str, dict[str, Seconds]],
    reading: Seconds,
    tree: NewickTree,
    table: CountTable,
    options: argparse.Namespace,
) -> Phylogeny:
    repeats = options.repeats
    sequences = build_sequences([name.encode() for name in table.feature_ids])
    shearing, phylogeny = timed(lambda: Phylogeny.from_newick(tree, table.feature_ids, sequences), repeats)
    batch, others = (
        table.take_counts(rows)
        for rows in np.random.default_rng(1).permutation(table.n_samples)[: 2 * BATCH].reshape(2, BATCH)
    )
    measured = {
        "read the tree": reading,
        "shear": shearing,
        f"batch of {BATCH}: Faith's PD": timed(lambda: faith_pd(phylogeny, batch), 10 * repeats)[0],
    }
    for metric in options.metrics:

        def distances(others: SampleCounts | None = None, metric: UnifracMetric = metric) -> np.ndarray:
            return unifrac_distances(phylogeny, batch, others, metric, ALPHA)

        def all_pairs(metric: UnifracMetric = metric) -> int:
            return sum(1 for _ in unifrac_blocks(phylogeny, table.data, metric, ALPHA))

        measured |= {
            f"{metric}: batch of {BATCH}": timed(distances, 10 * repeats)[0],
            f"{metric}: {BATCH} to {BATCH} others": timed(lambda run=distances: run(others), 10 * repeats)[0],
            f"{metric}: all pairs": timed(all_pairs, repeats)[0],
        }
    results |= {what: {"aam": seconds} for what, seconds in measured.items()}
    return phylogeny


def write_inputs(folder: Path, tree: NewickTree, table: CountTable, phylogeny: Phylogeny) -> dict[str, Path]:
    """Write the study as input of every program: only ASVs of the tree, and the whole tree."""
    files = {"table": folder / "table.biom", "tree": folder / "tree.nwk", "output": folder / "out.h5"}
    features = np.flatnonzero(phylogeny.feature_tip >= 0)
    with h5py.File(files["table"], "w") as file:
        biom = Table(by_feature(table, features), table.feature_ids[features], table.sample_ids)
        biom.to_hdf5(file, "benchmark")
    files["tree"].write_text(format_newick(tree))
    return files


def by_feature(table: CountTable, features: np.ndarray) -> csc_matrix:
    data = table.data
    matrix = csr_matrix((data.counts, data.indices, data.indptr), (table.n_samples, table.n_features))
    return matrix[:, features].T


def time_commands(results: dict[str, dict[str, Seconds]], files: dict[str, Path], options: argparse.Namespace) -> None:
    """Time the commands from input files to a file of distances, including start-up."""
    names = {key: str(path) for key, path in files.items()}
    # Installed packages have byte code; if this environment has none, the untimed first run writes it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(files["table"].parent / "bytecode")
    for metric in options.metrics:
        aam = [sys.executable, "-m", "aam_cli", "unifrac", "--table", names["table"], "--tree", names["tree"]]
        aam += ["--unifrac-metric", metric, "--output", names["output"], "--overwrite"]
        if metric == "generalized":
            aam += ["--unifrac-alpha", str(ALPHA)]
        commands = {"aam": aam}
        if shutil.which("ssu"):
            ssu = ["ssu", *SSU[metric], "-i", names["table"], "-t", names["tree"], "-o", names["output"]]
            commands["ssu"] = [*ssu, "--format", "hdf5_fp32", "--pcoa", "0"]
        times: dict[str, list[tuple[float, float]]] = {who: [] for who in commands}
        for repeat in range(options.repeats + 1):
            for who, command in commands.items():
                if repeat == 0 and who != "aam":
                    continue
                start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run(command, check=True, capture_output=True, env=environment)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                if repeat:
                    times[who].append((time.perf_counter() - start, processor))
        results[command_row(metric)] = {who: medians(found) for who, found in times.items()}


def command_row(metric: str) -> str:
    return f"{metric}: files to file"


def time_scikit_bio(
    results: dict[str, dict[str, Seconds]],
    files: dict[str, Path],
    table: CountTable,
    phylogeny: Phylogeny,
    metrics: list[str],
) -> None:
    from skbio import TreeNode
    from skbio.diversity import beta_diversity

    text = files["tree"].read_text()
    features = np.flatnonzero(phylogeny.feature_tip >= 0)
    names, counts = table.feature_ids[features].tolist(), by_feature(table, features).T.toarray()
    reading, tree = timed(lambda: TreeNode.read(io.StringIO(text), convert_underscores=False), 1)
    shearing, sheared = timed(lambda: tree.shear(names), 1)
    sheared.length = 0.0
    known = {"ids": table.sample_ids, "taxa": names, "tree": sheared, "validate": False}
    found = {"read the tree": reading, "shear": shearing}
    for metric in sorted(SCIKIT_BIO.keys() & metrics):
        run = partial(beta_diversity, counts=counts, **SCIKIT_BIO[metric], **known)
        found[f"{metric}: all pairs"], _ = timed(run, 1)
    for what, seconds in found.items():
        results[what]["scikit-bio"] = seconds


def marks(results: dict[str, dict[str, Seconds]], n_samples: int) -> dict[str, bool]:
    """Return which targets are met, by wall time."""
    met = {}
    for metric, limits in MARKS.items():
        row = results.get(command_row(metric), {})
        for least, limit in limits:
            if "ssu" in row and n_samples >= least:
                slower = row["aam"].passed / row["ssu"].passed
                met[f"{metric}: {slower:.2f} x the time of ssu, at most {limit:g}"] = slower <= limit
    return met


def machine() -> dict[str, Any]:
    packages = ("aam-data", "numpy", "scipy", "scikit-bio")
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cores": os.cpu_count(),
            "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        },
    }


def print_report(report: dict[str, Any]) -> None:
    study = report["study"]
    print(f"{study['samples']:,} samples, {study['tips_of_study']:,} of {study['tips']:,} tips")
    print("wall seconds (CPU seconds); x = relative to aam")
    for what, row in report["seconds"].items():
        own = row["aam"]
        cells = [f"aam {own['passed']:.4f} ({own['processor']:.4f})"]
        cells += [
            f"{who} {other['passed']:.4f} ({other['processor']:.4f}) "
            f"x {other['passed'] / own['passed']:.1f} ({other['processor'] / own['processor']:.1f})"
            for who, other in row.items()
            if who != "aam"
        ]
        print(f"  {what:<40} {'   '.join(cells)}")
    for mark, met in report["marks"].items():
        print(f"  {'met' if met else 'MISSED'}: {mark}")


if __name__ == "__main__":
    main()
