"""Reads samples at random places of large files, and writes how much mapped memory the process has at most, in MB."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

from aam_data.corpus.arrays import ArrayFile
from aam_data.corpus.mapped_rows import MappedRows, Shard


def mapped_mb() -> float:
    found = re.search(r"RssFile:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1e3


def main(folder: Path, entries_per_sample: int) -> None:
    before = mapped_mb()
    indices, counts = ArrayFile(folder / "indices.npy", "i"), ArrayFile(folder / "counts.npy", "i")
    n_samples = len(indices) // entries_per_sample
    indptr = np.arange(n_samples + 1) * entries_per_sample
    members = np.arange(entries_per_sample, dtype=np.int32)
    rows = MappedRows((Shard(indptr, indices, counts, members, np.ones(n_samples, dtype=np.int64)),))
    random, most = np.random.default_rng(0), 0.0
    for batch in range(300):
        chosen = random.integers(0, n_samples, 32)
        taken = rows.take(chosen)
        assert taken.counts[::entries_per_sample].tolist() == (chosen % 1000 + 1).tolist()
        most = max(most, mapped_mb() - before) if batch % 10 == 0 else most
    rows.take(random.integers(0, n_samples, 2000))
    most = max(most, mapped_mb() - before)
    for _ in rows.parts():
        most = max(most, mapped_mb() - before)
    sys.stdout.write(f"{most}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
