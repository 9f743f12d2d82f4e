"""A study whose samples have 2 to 5,000 ASVs, and processes whose memory is watched from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from biom.table import Table
from scipy.sparse import csr_matrix


def write_study(
    folder: Path,
    samples: int,
    *,
    smallest: int = 2,
    largest: int = 5000,
    pool: int = 8000,
    bases: int = 60,
    seed: int = 0,
) -> None:
    """Write ``table.biom`` and ``tree.nwk``: log-uniform numbers of ASVs per sample, drawn from a pool of ASVs."""
    random = np.random.default_rng(seed)
    letters = np.array(list("ACGT"))
    ids = sorted({"".join(row) for row in letters[random.integers(0, 4, (pool, bases))]})
    assert len(ids) == pool
    richness = np.rint(np.geomspace(smallest, largest, samples)).astype(int)
    columns = [np.sort(random.choice(pool, number, replace=False)) for number in richness]
    counts = random.geometric(0.02, richness.sum()).astype(float)
    pointer = np.concatenate([[0], np.cumsum(richness)])
    matrix = csr_matrix((counts, np.concatenate(columns), pointer), shape=(samples, pool))
    with h5py.File(folder / "table.biom", "w") as file:
        Table(matrix.T, ids, [f"S{number:03}" for number in range(samples)]).to_hdf5(file, "benchmark")
    level = [f"{name}:{random.exponential():.4f}" for name in ids]
    while len(level) > 1:
        joined = [f"({','.join(level[i : i + 2])}):{random.exponential():.4f}" for i in range(0, len(level), 2)]
        level = joined
    (folder / "tree.nwk").write_text(level[0].rpartition(":")[0] + ";\n", encoding="ascii")


@contextlib.contextmanager
def control_group(limit: int) -> Iterator[Path]:
    """Create a control group (version 1 or 2) with a memory limit in bytes; a process joins it with `enter`.

    Raises:
        SystemExit: no such group can be created here.
    """
    ways = (("memory", "memory.limit_in_bytes"), ("unified", "memory.max"), ("", "memory.max"))
    for folder, file in ways:
        group = Path("/sys/fs/cgroup") / folder / f"aam-benchmark-{os.getpid()}"
        if not (group.parent / "cgroup.procs").is_file():
            continue
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / file).is_file():
                (group / file).write_text(str(limit))
                break
            group.rmdir()
    else:
        raise SystemExit("cannot create a memory control group: run as root on Linux")
    try:
        yield group
    finally:
        time.sleep(0.5)  # until the last process has exited
        group.rmdir()


def enter(group: Path) -> None:
    """Move this process and its future children to a control group."""
    (group / "cgroup.procs").write_text(str(os.getpid()))


def watched(script: Path, arguments: list[str]) -> tuple[int, dict[str, Any], int]:
    """Run a script, which prints a line of JSON at the end, and sample its resident memory every few milliseconds.

    Returns:
        Exit status, the JSON (the end of the error after a failure), and the peak of resident memory, in bytes.
    """
    child = subprocess.Popen([sys.executable, str(script), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    status, highest = Path(f"/proc/{child.pid}/status"), 0
    while child.poll() is None:
        try:
            match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        except OSError:
            break
        highest = max(highest, 1024 * int(match[1]) if match else 0)
        time.sleep(0.004)
    out, err = child.communicate()
    if child.returncode:
        return child.returncode, {"error": err.decode()[-600:]}, highest
    return 0, json.loads(out.decode().splitlines()[-1]), highest
