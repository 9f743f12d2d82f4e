"""``aam predict``."""

from __future__ import annotations

from aam_cli.command import config_command
from aam_cli.errors import Program
from aam_train.options.recipe_configs import PredictConfig


@config_command("predict", PredictConfig)
def command(config: PredictConfig, program: Program) -> None:
    """The table is treated as the training table was: everything that was fitted is stored with the model."""
    from aam_train.recipes.inputs import read_predict_inputs

    inputs = read_predict_inputs(config)
    from aam_train.recipes.predict import run_predict  # imports torch

    for path in run_predict(config, inputs, quiet=program.quiet):
        program.say(f"wrote {path}")
