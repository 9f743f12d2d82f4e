"""Embedding tables: the same values and runs with every storage, and no files left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from aam_data.options.samples import SampleOptions
from aam_models.storage.model_folder import WEIGHTS
from aam_train.device.available_memory import available_memory
from aam_train.engine import embedding_table
from aam_train.engine.embedding_table import EmbeddingTable, Storage, choose_storage
from aam_train.errors import TrainError
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.run import TransferOptions
from aam_train.recipes.train import train

CPU = torch.device("cpu")


@pytest.mark.parametrize("storage", ["device", "memory", "disk"])
def test_rows_come_back_in_any_order(storage: Storage, tmp_path: Path) -> None:
    rows = np.array([7, 2, 11, 3])
    values = torch.randn(4, 5)
    table = EmbeddingTable(rows, 12, 5, CPU, tmp_path, storage)
    table.put(torch.from_numpy(rows[2:]), values[2:])
    table.put(torch.from_numpy(rows[:2]), values[:2])
    assert torch.equal(table.take(torch.tensor([3, 7, 7, 11])), values[[3, 0, 0, 2]])
    assert table.values.shape == (4, 5)
    with pytest.raises(IndexError):
        table.take(torch.tensor([1]))
    assert list(tmp_path.iterdir()) == []


def test_the_place_follows_from_what_is_free() -> None:
    assert choose_storage(25, 100, 100) == "device"
    assert choose_storage(26, 100, 104) == "memory"
    assert choose_storage(26, 100, 103) == "disk"
    assert 0 < available_memory(CPU, 1.0) < 2**50


def test_a_disk_without_room_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        TrainError, match=r"not enough disk space for 4,000,000,000.0 GB of embeddings.*--output-dir or TMPDIR"
    ):
        EmbeddingTable(np.arange(1000), 1000, 10**15, CPU, tmp_path / "not" / "there", "disk")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("depth", [0, 100])
def test_a_frozen_run_is_the_same_from_memory_and_from_a_file(
    train_config: Callable[..., TrainConfig],
    encoder_run: tuple[PretrainConfig, Path],
    depth: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(name: str) -> Path:
        return train(
            train_config(
                tmp_path / name,
                encoder_run[1],
                transfer=TransferOptions(encoder_run[1], freeze_base=True, val_prediction_passes=2 if depth else 1),
                sample=SampleOptions(rarefy_depth=depth),
            ),
            quiet=True,
        )

    in_memory = run("memory")
    monkeypatch.setattr(embedding_table, "SHARE", 0.0)
    on_disk = run("disk")
    for file in ("predictions_full.tsv", f"checkpoints/last/{WEIGHTS}"):
        assert (in_memory / file).read_bytes() == (on_disk / file).read_bytes()
    assert sorted(path.name for path in on_disk.iterdir()) == sorted(path.name for path in in_memory.iterdir())
