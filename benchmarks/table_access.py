"""Time and memory to open a table of a million simulated samples and to read samples from it.

    python benchmarks/table_access.py --json table_access.json

The table (0.4 GB, temporarily twice as much) is written next to the report and removed afterwards; --table measures an
existing one.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
from machine import finish

from aam_data.readers.biom.row_access import BiomRows, open_biom_rows
from aam_data.table import SampleCounts
from aam_data.writers.biom import BiomWriter

SAMPLES, FEATURES, DRAWN, BASES = 1_000_000, 100_000, 45, 100
BLOCK, SEED = 20_000, 0


def write_table(path: Path) -> None:
    """Write samples of 20 to 45 ASVs each, few of them common and most of them rare."""
    random = np.random.default_rng(SEED)
    sequences = random.choice(np.frombuffer(b"ACGT", dtype=np.uint8), (FEATURES, BASES))
    features = np.array([row.tobytes().decode() for row in sequences], dtype=object)
    with BiomWriter(path, FEATURES) as writer:
        for _ in range(0, SAMPLES, BLOCK):
            writer.append(block(random))
        writer.finish(names(), features)


def block(random: np.random.Generator) -> SampleCounts:
    drawn = np.sort((FEATURES * random.random((BLOCK, DRAWN)) ** 4).astype(np.int32), axis=1)
    kept = np.ones(drawn.shape, dtype=bool)
    kept[:, 1:] = drawn[:, 1:] > drawn[:, :-1]
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return SampleCounts(indptr, drawn[kept], random.geometric(0.01, indptr[-1]))


def names() -> Iterator[np.ndarray]:
    for first in range(0, SAMPLES, BLOCK):
        yield np.array([f"study.{i:07d}" for i in range(first, first + BLOCK)], dtype=object)


def peak_mb() -> float:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(path: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Measure the seconds of each step and the peak of memory after it; steps follow one another in one process."""
    steps: dict[str, dict[str, float]] = {"start (libraries)": {"seconds": 0.0, "peak_mb": peak_mb()}}

    def step(name: str, run: Callable[[int], object], times: int = 1) -> None:
        seconds = []
        for i in range(times):
            started = time.perf_counter()
            run(i)
            seconds.append(time.perf_counter() - started)
        steps[name] = {"seconds": median(seconds), "peak_mb": peak_mb()}

    started = time.perf_counter()
    with open_biom_rows(path) as rows:
        steps["open"] = {"seconds": time.perf_counter() - started, "peak_mb": peak_mb()}
        random = np.random.default_rng(SEED)
        picks = {size: [random.choice(rows.n_samples, size, replace=False) for _ in range(repeats)] for size in (1, 32)}
        thousand = [random.choice(rows.n_samples, 1000, replace=False) for _ in range(3)]
        step("1 random sample", lambda i: rows.take_counts(picks[1][i]), repeats)
        step("32 random samples", lambda i: rows.take_counts(picks[32][i]), repeats)
        step("1,000 random samples", lambda i: rows.take_counts(thousand[i]), 3)
        step("all, 10,000 at a time", lambda i: read_all(rows))
        step("feature ids", lambda i: rows.feature_ids)
        step("sample ids", lambda i: rows.sample_ids)
    return steps


def read_all(rows: BiomRows) -> None:
    for first in range(0, rows.n_samples, 10_000):
        rows.take_counts(np.arange(first, min(first + 10_000, rows.n_samples)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="BIOM 2.1; default: a new one")
    parser.add_argument("--write", type=Path, help="only write the table")
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.write is not None:
        write_table(options.write)
        return
    with tempfile.TemporaryDirectory(dir=options.json.parent if options.json else None) as folder:
        table = options.table or Path(folder) / "table.biom"
        if options.table is None:  # in a separate process, whose memory does not count
            subprocess.run([sys.executable, __file__, "--write", table], check=True)
        with open_biom_rows(table) as rows:
            size = {"samples": rows.n_samples, "features": rows.n_features, "counts": rows.n_counts}
        size["file_mb"] = table.stat().st_size // 10**6
        steps = measure(table, options.repeats)
    print(", ".join(f"{name} {value:,}" for name, value in size.items()))
    for name, found in steps.items():
        print(f"{name:24}{found['seconds']:10.4f} s{found['peak_mb']:10.0f} MB")
    finish({"table": size, "steps": steps}, options.json)


if __name__ == "__main__":
    main()
