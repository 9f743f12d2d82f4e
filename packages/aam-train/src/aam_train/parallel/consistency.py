"""Check before the first step that all processes of a run are set up alike."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from aam_train.errors import TrainError
from aam_train.options.toml import flat_settings
from aam_train.parallel.ranks import Ranks
from aam_train.versions import versions

_DIGITS = 12  # hexadecimal: 48 bits, exact in a float64
# Options that may differ between processes: they do not change results.
_MAY_DIFFER = {"num_workers"}


def check_same_on_all_ranks(
    ranks: Ranks, config: Any, inputs: list[dict[str, Any]], checkpoints: list[Path | None]
) -> None:
    """Compare settings, input files, versions and the checkpoint to resume from.

    Raises:
        TrainError: on all processes, naming those that differ from process 0 and how.
    """
    flat = flat_settings(config)
    mine = {
        "settings": {name: value for name, value in flat.items() if name not in _MAY_DIFFER},
        "input files": [record.get("sha256") for record in inputs],
        "versions of AAM, torch or Python": versions(),
        "checkpoint to resume from": [str(path) for path in checkpoints],
    }
    digests = ranks.all_gather([_digest(value) for value in mine.values()])
    differing = [
        f"process {rank} differs from process 0 in its {name}"
        for column, name in enumerate(mine)
        for rank in range(1, ranks.size)
        if digests[rank, column] != digests[0, column]
    ]
    if differing:
        raise TrainError(f"{'; '.join(differing[:5])}. Start all processes of a run in the same way")


def _digest(value: Any) -> float:
    text = json.dumps(value, sort_keys=True, default=str)
    return float(int(hashlib.sha256(text.encode()).hexdigest()[:_DIGITS], 16))
