"""How long `aam --help` takes, beside an empty Python program and `import torch`.

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

from machine import finish

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "aam --help": ["-m", "aam_cli", "--help"],
    "aam train --help-all": ["-m", "aam_cli", "train", "--help-all"],
    "import torch": ["-c", "import torch"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    # a person's Python keeps compiled modules
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    seconds = {}
    for name, arguments in COMMANDS.items():
        times = []
        for _ in range(options.repeats):
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - started)
        seconds[name] = median(times)
        print(f"{name:24}{seconds[name]:8.2f} s")
    finish({"seconds": seconds}, options.json)


if __name__ == "__main__":
    main()
