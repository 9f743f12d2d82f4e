"""Dropout differs from step to step and from process to process; the first process draws as a single one does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aam_models.config.predictor_options import HeadOptions
from aam_train.options.toml import config_to_toml

Configs = Callable[..., Any]


def test_dropout_is_keyed_by_step_and_process(
    train_config: Configs, changed: Configs, run_processes: Callable[..., list[str]], tmp_path: Path
) -> None:
    pytest.importorskip("aam_cli", reason="runs the program")
    config = train_config(tmp_path / "one", run={"batch_size": 3}, head=HeadOptions((64,), 0.5))
    several = changed(changed(config, "run", output_dir=tmp_path / "two"), "parallel", distributed=True)

    def kept(processes: int, config: Any) -> list[list[np.ndarray]]:
        """Return the hidden values that were kept, by process and step."""
        folder = tmp_path / str(processes)
        folder.mkdir()
        file = folder / "config.toml"
        file.write_text(config_to_toml(config), encoding="utf-8")
        run_processes(processes, "dropout.py", folder, "train", "--config", file)
        found = (np.load(folder / f"{rank}.npz") for rank in range(processes))
        return [[masks[name] for name in masks.files] for masks in found]

    (alone,) = kept(1, config)
    first, second = kept(2, several)
    assert len(alone) == 10  # 14 samples by 3, twice
    assert len(first) == len(second) == 6  # by 6, twice
    for masks in (alone, first, second):
        assert all(len(mask) in (2, 3) and mask.shape[1] == 64 for mask in masks)
        assert all((one[:2] != other[:2]).any() for one, other in combinations(masks, 2))
    assert all((one[:2] != other[:2]).any() for one, other in zip(first, second, strict=True))
    same_size = [(one, own) for one, own in zip(alone, first, strict=False) if len(one) == len(own)]
    assert len(same_size) >= 2
    assert all(np.array_equal(one, own) for one, own in same_size)
