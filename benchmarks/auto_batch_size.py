"""--auto-batch-size in a process limited to 4 GB, compared with the largest size that trains an epoch there.

The largest size is found by brute force: a bisection over batch sizes. Each trial is a run of one epoch in a process
under the same cap (a memory control group), which either finishes or is killed.

    python benchmarks/auto_batch_size.py --json auto_batch_size.json
"""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
from pathlib import Path

from machine import finish
from skewed_samples import control_group, enter, watched, write_study

from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_models.config.encoder import ModelOptions
from aam_train.files import read_json_object
from aam_train.options.memory import MemoryOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.options.run import RunOptions
from aam_train.recipes.pretrain import pretrain

SAMPLES, CAP = 1000, 4 * 10**9

TRAINED = 900  # samples: the others are held out


def train(group: Path, study: Path, output: Path, batch_size: int, fraction: float) -> int:
    """Train one epoch in this process, within the group; a batch size of 0 means --auto-batch-size."""
    enter(group)
    auto = MemoryOptions(auto_batch_size=True, max_memory_fraction=fraction)
    pretrain(
        PretrainConfig(
            TableOptions(study / "table.biom"),
            RunOptions(output, epochs=1, batch_size=batch_size or 32, device="cpu"),
            PhylogenyOptions(tree=study / "tree.nwk"),
            sample=SampleOptions(rarefy_depth=0),
            split=SplitOptions(test_size=0.05, val_size=0.05),
            model=ModelOptions(preset="tiny"),
            memory=MemoryOptions() if batch_size else auto,
        )
    )
    batching = read_json_object(output / "checkpoints" / "last" / "train_state.json")["batching"]
    return int(batching["batch_size"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fraction", type=float, default=1.0, help="--max-memory-fraction of the automatic run")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.child:
        group, study, output, batch_size, fraction = options.child
        found = train(Path(group), Path(study), Path(output), int(batch_size), float(fraction))
        print(json.dumps({"batch_size": found}))
        return
    with tempfile.TemporaryDirectory() as folder, control_group(CAP) as group:
        study = Path(folder)
        write_study(study, SAMPLES, smallest=20, largest=80, pool=30_000, bases=150)

        def run(batch_size: int) -> int | None:
            """Return the batch size of a run, or None if it ran out of memory."""
            arguments = [
                str(group),
                str(study),
                str(study / f"run-{batch_size}"),
                str(batch_size),
                str(options.fraction),
            ]
            status, found, highest = watched(Path(__file__), ["--child", *arguments])
            if status and status != -signal.SIGKILL and "memory" not in found["error"]:
                raise SystemExit(f"batch size {batch_size}: {found['error']}")
            peaks[batch_size] = highest
            return None if status else int(found["batch_size"])

        peaks: dict[int, int] = {}
        found = run(0)
        if found is None:
            raise SystemExit("the automatic run ran out of memory")
        print(f"found automatically: {found}, with a peak of {peaks[0] / 1e9:.2f} GB", flush=True)
        tried = {}
        works, fails = found, None
        size = found
        while fails is None or fails - works > max(1, works // 20):
            size = min(int(1.1 * works) + 1, TRAINED) if fails is None else (works + fails) // 2
            tried[size] = run(size) is not None
            print(
                f"batch size {size}: {'trains an epoch' if tried[size] else 'is killed'}, {peaks[size] / 1e9:.2f} GB",
                flush=True,
            )
            works, fails = (size, fails) if tried[size] else (works, size)
            if works == TRAINED:
                break
        print(f"largest that trains an epoch: {works}; found automatically: {found} ({found / works:.0%} of it)")
    report = {
        "peaks": peaks,
        "cap_bytes": CAP,
        "fraction": options.fraction,
        "found": found,
        "largest": works,
        "tried": tried,
    }
    finish({**report, "share": found / works}, options.json)


if __name__ == "__main__":
    main()
