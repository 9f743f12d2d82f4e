"""How long the tree and unweighted UniFrac take, beside ssu (where installed) and scikit-bio (on request).

    python benchmarks/unifrac.py                          # the ibd study in ../shared/data
    python benchmarks/unifrac.py --samples 5000           # its samples, drawn again and thinned, 5,000 of them
    python benchmarks/unifrac.py --scikit-bio --json unifrac.json

Prints medians and the ratios to them within this run. Set OMP_NUM_THREADS to compare at the same number of threads.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
from biom.table import Table
from scipy.sparse import csc_matrix, csr_matrix

from aam_data.phylogeny import Phylogeny
from aam_data.readers.biom import read_table
from aam_data.readers.newick import NewickTree, format_newick, read_newick
from aam_data.sequences import build_sequences
from aam_data.table import CountTable, SampleCounts, table_from_rows
from aam_data.unifrac import faith_pd, unweighted_unifrac, unweighted_unifrac_blocks

IBD = Path(__file__).parents[2] / "shared" / "data" / "ibd"
BATCH = 32


def main() -> None:
    options = parse_arguments()
    table = read_table(options.table).table
    if options.samples:
        table = grow(table, options.samples)
    results: dict[str, dict[str, float]] = {}
    reading, tree = timed(lambda: read_newick(options.tree), options.repeats)
    phylogeny = time_arrays(results, reading, tree, table, options.repeats)
    with tempfile.TemporaryDirectory() as folder:
        files = write_inputs(Path(folder), tree, table, phylogeny)
        time_commands(results, files, options.repeats)
        if options.scikit_bio:
            time_scikit_bio(results, files, table, phylogeny)
    report = {
        "study": {
            "table": options.table.name,
            "samples": table.n_samples,
            "asvs": table.n_features,
            "tips": tree.n_tips,
            "tips_of_study": phylogeny.n_tips,
        },
        "repeats": options.repeats,
        "seconds": results,
        "times_slower_than_aam": {
            what: {who: seconds / row["aam"] for who, seconds in row.items() if who != "aam"}
            for what, row in results.items()
            if len(row) > 1
        },
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
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scikit-bio", action="store_true", help="time scikit-bio too, once (a minute)")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()
    for path in (options.table, options.tree):
        if not path.exists():
            parser.error(f"{path} does not exist: give --table and --tree")
    return options


def timed(run: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median seconds, and what the last run returned."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return median(seconds), result


def grow(table: CountTable, n_samples: int) -> CountTable:
    """Samples drawn with replacement, each with about half of its reads."""
    rng = np.random.default_rng(0)
    counts = table.take_counts(rng.integers(0, table.n_samples, n_samples))
    thinned = rng.binomial(counts.counts, 0.5)
    kept = thinned > 0
    indptr = np.concatenate([[0], np.cumsum(kept)])[counts.indptr]
    rows = SampleCounts(indptr, counts.indices[kept], thinned[kept])
    ids = np.array([f"s{i}" for i in range(n_samples)], dtype=object)
    return table_from_rows(rows, ids, table.feature_ids)


def time_arrays(
    results: dict[str, dict[str, float]], reading: float, tree: NewickTree, table: CountTable, repeats: int
) -> Phylogeny:
    sequences = build_sequences([name.encode() for name in table.feature_ids])
    shearing, phylogeny = timed(lambda: Phylogeny.from_newick(tree, table.feature_ids, sequences), repeats)
    batch, others = (
        table.take_counts(rows)
        for rows in np.random.default_rng(1).permutation(table.n_samples)[: 2 * BATCH].reshape(2, BATCH)
    )
    measured = {
        "read the tree": (reading, None),
        "shear": (shearing, None),
        f"batch of {BATCH}: all pairs": timed(lambda: unweighted_unifrac(phylogeny, batch), 10 * repeats),
        f"batch of {BATCH} against {BATCH} others": timed(
            lambda: unweighted_unifrac(phylogeny, batch, others), 10 * repeats
        ),
        f"batch of {BATCH}: Faith's PD": timed(lambda: faith_pd(phylogeny, batch), 10 * repeats),
        "all pairs": timed(lambda: sum(1 for _ in unweighted_unifrac_blocks(phylogeny, table.data)), repeats),
    }
    results |= {what: {"aam": seconds} for what, (seconds, _) in measured.items()}
    return phylogeny


def write_inputs(folder: Path, tree: NewickTree, table: CountTable, phylogeny: Phylogeny) -> dict[str, Path]:
    """The study as every program reads it: only ASVs of the tree, the whole tree."""
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


def time_commands(results: dict[str, dict[str, float]], files: dict[str, Path], repeats: int) -> None:
    """From files to a file of distances, start of the program included."""
    names = {key: str(path) for key, path in files.items()}
    aam = [sys.executable, "-m", "aam_cli", "unifrac", "--table", names["table"], "--tree", names["tree"]]
    commands = {"aam": [*aam, "--output", names["output"]]}
    if shutil.which("ssu"):
        ssu = ["ssu", "-m", "unweighted", "-i", names["table"], "-t", names["tree"], "-o", names["output"]]
        commands["ssu"] = [*ssu, "--format", "hdf5_fp32", "--pcoa", "0"]
    # Installed packages have byte code; where this environment has none, the untimed first run writes it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(files["table"].parent / "bytecode")
    results["files to file"] = {}
    for who, command in commands.items():

        def run(command: list[str] = command) -> None:
            subprocess.run(command, check=True, capture_output=True, env=environment)

        run()
        results["files to file"][who], _ = timed(run, repeats)


def time_scikit_bio(
    results: dict[str, dict[str, float]], files: dict[str, Path], table: CountTable, phylogeny: Phylogeny
) -> None:
    from skbio import TreeNode
    from skbio.diversity import beta_diversity

    text = files["tree"].read_text()
    features = np.flatnonzero(phylogeny.feature_tip >= 0)
    names, counts = table.feature_ids[features].tolist(), by_feature(table, features).T.toarray()
    reading, tree = timed(lambda: TreeNode.read(io.StringIO(text), convert_underscores=False), 1)
    shearing, sheared = timed(lambda: tree.shear(names), 1)
    sheared.length = 0.0
    pairs, _ = timed(
        lambda: beta_diversity(
            "unweighted_unifrac", counts, table.sample_ids, taxa=names, tree=sheared, validate=False
        ),
        1,
    )
    for what, seconds in (("read the tree", reading), ("shear", shearing), ("all pairs", pairs)):
        results[what]["scikit-bio"] = seconds


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
    print(f"{study['samples']:,} samples, {study['tips_of_study']:,} of {study['tips']:,} tips; seconds (x aam)")
    for what, row in report["seconds"].items():
        cells = [f"aam {row['aam']:.4f}"]
        cells += [f"{who} {seconds:.4f} (x {seconds / row['aam']:.1f})" for who, seconds in row.items() if who != "aam"]
        print(f"  {what:<28} {'   '.join(cells)}")


if __name__ == "__main__":
    main()
