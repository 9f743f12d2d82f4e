"""All cases in one process with a bounded address space: ``python -m broken_files FOLDER GIGABYTES``.

Prints as JSON the exit status of each case with the number of its ERROR lines and what it said on standard error
(nothing), the most memory used, and whether torch was imported.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import shutil
import sys
from pathlib import Path

from aam_cli.errors import run_program
from aam_cli.main import cli

from . import CASES
from .good_study import write_good_study


def run(folder: Path) -> dict[str, object]:
    """Run the cases on copies of the good study below ``folder``."""
    write_good_study(folder / "good")
    ends = {}
    for case in CASES:
        study = folder / "study"
        shutil.copytree(folder / "good", study)
        case.spoil(study)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run_program(cli, case.arguments(study))
        ends[case.name] = status, out.getvalue().count("\nERROR "), err.getvalue()
        shutil.rmtree(study)
    return {
        "ends": ends,
        "mb": peak_memory(),
        "torch": "torch" in sys.modules,
    }


def peak_memory() -> float:
    """Most MB that this process used. Not ``ru_maxrss``, which begins with what the parent held at the fork."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    limit = int(float(sys.argv[2]) * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    Path(sys.argv[1], "good").mkdir()
    print(json.dumps(run(Path(sys.argv[1]))))  # noqa: T201
