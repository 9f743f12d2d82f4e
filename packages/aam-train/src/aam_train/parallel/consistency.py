"""Processes that are about to do different things are refused before the first step."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from aam_train.errors import TrainError
from aam_train.options.toml import config_to_dict
from aam_train.parallel.ranks import Ranks
from aam_train.versions import versions

_DIGITS = 12  # hexadecimal: 48 bits, exact in a float64
# What may differ between processes without changing what they compute.
_OWN = {"num_workers"}


def check_same_on_all_ranks(
    ranks: Ranks, config: Any, inputs: list[dict[str, Any]], checkpoints: list[Path | None]
) -> None:
    """Compare settings, files, versions and the checkpoint to continue from.

    Raises:
        TrainError: on all processes, naming those that differ from the first one and in what.
    """
    flat = {name: value for section in config_to_dict(config).values() for name, value in section.items()}
    mine = {
        "settings": {name: value for name, value in flat.items() if name not in _OWN},
        "input files": [record.get("sha256") for record in inputs],
        "versions of AAM, torch or Python": versions(),
        "checkpoint to continue from": [str(path) for path in checkpoints],
    }
    found = ranks.all_gather([_digest(value) for value in mine.values()])
    wrong = [
        f"process {rank} has other {name} than process 0"
        for column, name in enumerate(mine)
        for rank in range(1, ranks.size)
        if found[rank, column] != found[0, column]
    ]
    if wrong:
        raise TrainError(f"{'; '.join(wrong[:5])}: all processes of a run have to be started alike")


def _digest(value: Any) -> float:
    text = json.dumps(value, sort_keys=True, default=str)
    return float(int(hashlib.sha256(text.encode()).hexdigest()[:_DIGITS], 16))
