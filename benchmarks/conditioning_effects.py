"""Effect of conditioning on metadata, compared with the same model without metadata, on studies with known effects.

Prints medians over seeds of the cases in packages/aam-train/tests/effects/effect_cases.py, which describes the studies.
About two minutes per seed on two idle cores.

    python benchmarks/conditioning_effects.py --seeds 1 2 3 --json effects.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from machine import finish

from aam_train.baselines import random_forest as forest

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "aam-train"))
from tests.effects.effect_cases import CASES  # the same studies as in the tests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of studies")
    parser.add_argument("--json", type=Path, help="also write the results to this JSON file")
    options = parser.parse_args()

    forest.TREES = 100  # of the baseline forests; more are not needed for these few ASVs
    report: dict[str, object] = {"seeds": options.seeds}
    for name in options.cases:
        runs = []
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                runs.append(CASES[name](Path(folder), seed))
        middle = {figure: median(run[figure] for run in runs) for figure in runs[0]}
        report[name] = {"median": middle, "runs": runs}
        print(name)
        for figure, value in middle.items():
            print(f"  {figure:<28}{value:7.3f}   ({', '.join(f'{run[figure]:.3f}' for run in runs)})", flush=True)
    finish(report, options.json)


if __name__ == "__main__":
    main()
