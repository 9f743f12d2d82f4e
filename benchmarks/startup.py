"""Time of `aam --help` and `aam check` (on the ibd study), compared with an empty Python program and `import torch`.

python benchmarks/startup.py --json startup.json
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from machine import DATA, finish

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "aam --help": ["-m", "aam_cli", "--help"],
    "aam train --help-all": ["-m", "aam_cli", "train", "--help-all"],
    "import torch": ["-c", "import torch"],
    "aam check (ibd)": [
        *("-m", "aam_cli", "check", "--table", str(DATA / "ibd" / "table.biom")),
        *("--metadata", str(DATA / "ibd" / "metadata.tsv"), "--metadata-column", "ibd", "--classifier"),
        *("--tree", str(DATA / "ibd" / "insertion-tree.qza")),
    ],
}
MARKS = {"aam --help": 0.5, "aam check (ibd)": 5.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    # an installed Python keeps compiled modules
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    seconds, user = {}, {}
    for name, arguments in COMMANDS.items():
        times = []
        for _ in range(options.repeats):
            started, before = time.perf_counter(), os.times()
            subprocess.run([sys.executable, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL)
            after = os.times()
            times.append((time.perf_counter() - started, after.children_user - before.children_user))
        seconds[name], user[name] = (median(values) for values in zip(*times, strict=True))
        mark = f"   mark: {MARKS[name]} s" if name in MARKS else ""
        print(f"{name:24}{seconds[name]:8.2f} s{user[name]:8.2f} s of user time{mark}", flush=True)
    finish({"seconds": seconds, "user_seconds": user, "marks": MARKS}, options.json)


if __name__ == "__main__":
    main()
