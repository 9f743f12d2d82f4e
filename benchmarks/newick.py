"""Time and memory to read and shear a newick tree: a real one and a large simulated one.

    python benchmarks/newick.py                        # the tree of the ibd study in ../shared/data, and 5,000,000 tips
    python benchmarks/newick.py --tips 1000000 --json newick.json

Each tree is read in a separate process. The simulated tree is first written to a temporary folder (half a minute for
5,000,000 tips). Memory is the peak of the process while it reads the tree, and until it has sheared it too; the value
per tip excludes the text of the tree and the memory in use before.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from machine import DATA, finish

from aam_data.readers.newick.tip_names import TipNames
from aam_data.readers.newick.tree import NewickTree, format_newick, read_newick
from aam_data.readers.qiime2 import read_content
from aam_data.sequences import build_sequences
from aam_data.simulate.tree import random_tree
from aam_data.study.phylogeny import Phylogeny

ASVS = 10_000  # of the study that the tree is sheared to


def main() -> None:
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        files = [options.tree] if options.tree else []
        if options.tips:
            files.append(Path(folder) / f"simulated-{options.tips}.nwk")
            alone(write_simulated, files[-1], options.tips)
        rows = [alone(measure, path, options.repeats) for path in files]
    print(
        f"{'tree':28}{'tips':>12}{'text MB':>9}{'read s':>9}{'peak MB':>9}{'bytes/tip':>11}{'shear s':>9}{'peak MB':>9}"
    )
    for row in rows:
        print(
            f"{row['tree']:28}{row['tips']:>12,}{row['text_mb']:>9,.1f}{row['read_seconds']:>9.2f}"
            f"{row['read_peak_mb']:>9,.0f}{row['bytes_per_tip']:>11.0f}{row['shear_seconds']:>9.2f}"
            f"{row['shear_peak_mb']:>9,.0f}"
        )
    finish({"repeats": options.repeats, "asvs": ASVS, "trees": rows}, options.json)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tree = DATA / "ibd" / "insertion-tree.qza"
    parser.add_argument("--tree", type=Path, default=tree if tree.exists() else None, help="a tree to read")
    parser.add_argument("--tips", type=int, default=5_000_000, help="of the simulated tree; 0 = none")
    parser.add_argument("--repeats", type=int, default=3, help="report the best time of this many")
    parser.add_argument("--json", type=Path, help="write the report here")
    return parser.parse_args()


def alone(run: Callable[..., Any], *arguments: Any) -> Any:
    """Run ``run(*arguments)`` in a new process, so that its memory is separate."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, *arguments).result()


def write_simulated(path: Path, n_tips: int) -> None:
    """Write a random binary tree with lengths of six decimals and names of ten letters."""
    parent, length, tips, _ = random_tree(n_tips, 10, np.random.default_rng(0))
    names = TipNames.from_names(f"G{tip:09d}" for tip in range(n_tips))
    path.write_text(format_newick(NewickTree(parent, np.round(length, 6), names, tips)), encoding="ascii")


def measure(path: Path, repeats: int) -> dict[str, Any]:
    """Return the seconds to read and to shear a tree, and the memory of reading it for the first time."""
    before = peak_bytes()
    reading, tree = best(lambda: read_newick(path), 1)
    peak, n_tips = peak_bytes(), tree.n_tips
    chosen = np.linspace(0, n_tips - 1, min(ASVS, n_tips)).astype(np.int64)
    ids = np.array([tree.tip_names[tip] for tip in chosen], dtype=object)
    sequences = build_sequences([b"ACGT"] * len(ids))
    shearing, _ = best(lambda: Phylogeny.from_newick(tree, ids, sequences), repeats)
    shear_peak = peak_bytes()
    again, _ = best(lambda: read_newick(path), repeats)
    text = len(read_content(path, "--tree", ("Phylogeny[Rooted]", "Phylogeny[Unrooted]"), 10**12))
    return {
        "tree": path.name,
        "tips": n_tips,
        "text_mb": text / 1e6,
        "read_seconds": min(reading, again),
        "read_peak_mb": peak / 1e6,
        "bytes_per_tip": (peak - before - text) / n_tips,
        "shear_seconds": shearing,
        "shear_peak_mb": shear_peak / 1e6,
    }


def best(run: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the shortest time in seconds and the last result."""
    seconds, result = [], None
    for _ in range(repeats):
        result = None  # so that two results never exist together
        started = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result


def peak_bytes() -> int:
    """Return the peak memory of this process so far (on Linux, in units of 1,024 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
