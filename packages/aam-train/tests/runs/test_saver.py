"""What is not saved: weights that are not finite, which no later command could load."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aam_models.storage.model_folder import load_model
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.errors import TrainError
from aam_train.memory.profile import build_update
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.parallel.strategy import Single
from aam_train.runs.checkpoints import Checkpoints
from aam_train.runs.records import read_preprocessor, read_training
from aam_train.runs.saver import Saver
from aam_train.runs.state import TrainerState


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_saved(
    value: float, encoder_run: tuple[PretrainConfig, Path], tmp_path: Path
) -> None:
    best = encoder_run[1] / "checkpoints" / "best"
    step = Step(load_model(best), torch.device("cpu"))
    update: Update = build_update(step, build_optimizer(step.model, OptimizerOptions(), None), 1.0)
    checkpoints, strategy, record = Checkpoints(tmp_path), Single(torch.device("cpu")), read_training(best)
    saver = Saver(checkpoints, strategy, step.model, update, lambda: read_preprocessor(best), record, "val_loss", 10)
    saver.save_last(TrainerState(step=3))
    name, weight = next(iter(step.model.named_parameters()))
    with torch.no_grad():
        weight.view(-1)[0] = value
    with pytest.raises(TrainError, match=rf"step 4: weights are not finite any more \({name}\)\. Lower --lr or"):
        saver.save_last(TrainerState(step=4))
    assert checkpoints.names() == ["step-3"]
    assert checkpoints.resolve("last") == "step-3"
