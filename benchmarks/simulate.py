"""Cost of simulating studies of increasing size: seconds, peak memory, bytes, and the time to read one sample.

    python benchmarks/simulate.py                                   # 10,000, 100,000 and 1,000,000 samples
    python benchmarks/simulate.py --samples 20000 --asvs 5000 --json simulate.json

Every size runs in a separate process, because peak memory is per process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from machine import finish

from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.study import run_simulate

READ = 500  # samples read one at a time
_MB = 1e6


def simulate(samples: int, asvs: int, folder: Path) -> dict[str, Any]:
    """Simulate a study in this process and measure it."""
    drawn = [0.0]
    started = time.perf_counter()
    _, features = run_simulate(
        SimulateOptions(samples=samples, asvs=asvs), folder, lambda _: drawn.append(time.perf_counter() - started)
    )
    seconds = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    with h5py.File(folder / "table.biom") as file:
        entries = int(file.attrs["nnz"])
        return {
            "samples": samples,
            "asvs": features,
            "counts": entries,
            "seconds": seconds,
            "seconds_drawing": drawn[-1],
            "peak_mb": peak / _MB,
            "table_mb": (folder / "table.biom").stat().st_size / _MB,
            "files_mb": sum(path.stat().st_size for path in folder.iterdir()) / _MB,
            "bytes_a_count": (folder / "table.biom").stat().st_size / entries,
            "milliseconds_a_sample_read": read_samples(file),
        }


def read_samples(file: h5py.File) -> float:
    """Return the mean time to read a random sample by its pointers, in milliseconds."""
    indptr = file["sample/matrix/indptr"][:]
    data, indices = file["sample/matrix/data"], file["sample/matrix/indices"]
    rows = np.random.default_rng(0).integers(0, len(indptr) - 1, READ)
    started = time.perf_counter()
    for row in rows:
        part = slice(indptr[row], indptr[row + 1])
        data[part], indices[part]
    return 1000 * (time.perf_counter() - started) / READ


def measure(samples: int, asvs: int) -> dict[str, Any]:
    """Run ``simulate`` in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--one", folder, "--samples", str(samples), "--asvs", str(asvs)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--asvs", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(simulate(options.samples[0], options.asvs, options.one / "study")))
        return
    titles = ("samples", "counts", "seconds", "drawing", "peak MB", "table MB", "B/count", "ms/read")
    print("".join(f"{title:>13}" for title in titles))
    sizes = []
    for samples in options.samples:
        row = measure(samples, options.asvs)
        sizes.append(row)
        keys = ("seconds", "seconds_drawing", "peak_mb", "table_mb", "bytes_a_count", "milliseconds_a_sample_read")
        counted = "".join(f"{row[key]:13,}" for key in ("samples", "counts"))
        print(counted + "".join(f"{row[key]:13.2f}" for key in keys), flush=True)
    finish({"sizes": sizes}, options.json)


if __name__ == "__main__":
    main()
