"""The small files of a model folder, read back and described."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path

import pytest

from aam_models.errors import ModelError
from aam_models.storage.typed_json import read_record
from aam_train.errors import TrainError
from aam_train.files import json_line, read_json_object, write_json
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.run import RunOptions
from aam_train.runs.folder import check_run
from aam_train.runs.records import TrainingRecord
from aam_train.runs.state import TrainerState
from aam_train.show.show import describe


def test_undefined_numbers_are_null_and_come_back(tmp_path: Path) -> None:
    progress = TrainerState(step=3, sums={"loss:total": 0.1 + 0.2}, validation={"val_loss": math.nan, "mae": 0.5})
    write_json(tmp_path / "state.json", dataclasses.asdict(progress))
    assert json.loads((tmp_path / "state.json").read_text())["validation"] == {"val_loss": None, "mae": 0.5}
    again = read_record(TrainerState, read_json_object(tmp_path / "state.json"), "state.json", undefined=True)
    assert again.best_value is None
    assert math.isnan(again.validation.pop("val_loss"))
    progress.validation.pop("val_loss")
    assert again == progress
    assert json_line({"a": [math.inf, 1.0]}) == '{"a": [null, 1.0]}\n'


def test_records_of_another_form_are_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "training.json", {"command": "train", "colour": "blue"})
    with pytest.raises(
        ModelError, match=r"training.json: missing keys: inputs, targets, samples, step, validation and 11 more"
    ):
        read_record(TrainingRecord, read_json_object(tmp_path / "training.json"), "training.json", undefined=True)
    with pytest.raises(ModelError, match=r"not an AAM folder \(it has no absent.json\)"):
        read_json_object(tmp_path / "absent.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ModelError, match=r"list.json: expected a JSON object"):
        read_json_object(tmp_path / "list.json")


def test_a_model_in_words(number_run: tuple[TrainConfig, Path], files: Path) -> None:
    rows = dict(describe(number_run[1]))
    assert rows["predicts"] == "degree_days (number)"
    assert rows["head"] == "hidden layers 8"
    assert rows["encoder"] == "16 wide, 2 heads, 1 + 1 layers"
    assert rows["reads"] == "100 drawn per sample"
    assert rows["sequences"] == "up to 150 bases"
    assert {"validation val_loss", "validation r2", "test degree_days, aam", "test degree_days, random forest"} <= set(
        rows
    )
    inputs = [value for name, value in describe(number_run[1]) if name == "input"]
    assert inputs[0].startswith(f"{files / 'table.biom'} (SHA-256 ")
    assert dict(describe(number_run[1] / "checkpoints" / "best"))["predicts"] == rows["predicts"]


def test_other_models_in_words(
    class_run: tuple[TrainConfig, Path], encoder_run: tuple[PretrainConfig, Path], tmp_path: Path
) -> None:
    assert dict(describe(class_run[1]))["predicts"] == "status (classes healthy, stressed)"
    assert dict(describe(class_run[1]))["head"] == "one linear layer"
    rows = dict(describe(encoder_run[1]))
    assert rows["predicts"].startswith("nothing yet: a pretrained encoder")
    assert "unifrac_mae" in rows["test"]
    shutil.copytree(class_run[1] / "checkpoints" / "best", tmp_path / "model")
    assert not any(name.startswith("test") for name, _ in describe(tmp_path / "model"))
    with pytest.raises(TrainError, match="no such file or folder"):
        describe(tmp_path / "absent")
    with pytest.raises(ModelError, match="not a model folder"):
        describe(tmp_path)


def test_a_folder_with_other_settings_cannot_be_continued_one_without_any_can(
    encoder_run: tuple[PretrainConfig, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(encoder_run[1], run, symlinks=True)
    options = RunOptions(run, resume_from="auto")
    (run / "config.toml").write_text("[run]\ncolour = 'blue'\n")
    with pytest.raises(
        TrainError,
        match=r"config.toml: not the settings of a run of this command.*key colour.*with the command that started",
    ):
        check_run(encoder_run[0], options)
    (run / "config.toml").unlink()
    assert check_run(encoder_run[0], options).resume == run / "checkpoints" / "step-6"
