"""Tables of fractions: used as they are, where they are asked for, and never rarefied."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import biom
import h5py
import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_train.errors import TrainError
from aam_train.options.commands import PredictOptions
from aam_train.options.recipe_configs import PredictConfig, PretrainConfig, TrainConfig
from aam_train.recipes.predict import predict
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train


@pytest.fixture(scope="module")
def fractions(files: Path, tmp_path_factory: pytest.TempPathFactory) -> TableOptions:
    """The counts of the small study as shares of their samples."""
    table = biom.load_table(str(files / "table.biom")).norm(axis="sample", inplace=False)
    path = tmp_path_factory.mktemp("fractions") / "shares.biom"
    with h5py.File(path, "w") as file:
        table.to_hdf5(file, "test")
    return TableOptions(path, relative_abundance=True)


def depth_of(run: Path) -> int:
    depth: int = json.loads((run / "checkpoints" / "last" / "preprocessor.json").read_text())["rarefy_depth"]
    return depth


def test_train_and_predict(
    train_config: Callable[..., TrainConfig],
    encoder_run: tuple[PretrainConfig, Path],
    number_run: tuple[TrainConfig, Path],
    fractions: TableOptions,
    tmp_path: Path,
) -> None:
    options = {"table": fractions, "sample": SampleOptions()}
    run = train(train_config(tmp_path / "run", encoder_run[1], {"epochs": 1}, **options), quiet=True)
    assert depth_of(encoder_run[1]) > 0
    assert depth_of(run) == 0
    output = tmp_path / "predictions.tsv"
    predict(PredictConfig(fractions, PredictOptions(run, output, device="cpu")), quiet=True)
    assert len(output.read_text().splitlines()) == 25
    output = tmp_path / "others.tsv"
    with pytest.raises(DataError, match=r"fractions, not reads.*--relative-abundance"):
        predict(PredictConfig(TableOptions(fractions.table), PredictOptions(run, output, device="cpu")), quiet=True)
    message = r"--relative-abundance: the model draws 100 reads per sample"
    with pytest.raises(TrainError, match=message):
        predict(PredictConfig(fractions, PredictOptions(number_run[1], output, device="cpu")), quiet=True)


def test_pretrain(pretrain_config: Callable[..., PretrainConfig], fractions: TableOptions, tmp_path: Path) -> None:
    options = {"table": fractions, "sample": SampleOptions(), "metadata": MetadataOptions()}
    config = pretrain_config(tmp_path / "run", {"epochs": 1}, **options, split=SplitOptions(val_size=0.2))
    assert depth_of(pretrain(config, quiet=True)) == 0
