"""``aam evaluate``."""

from __future__ import annotations

from aam_cli.command import config_command
from aam_cli.errors import Program
from aam_train.options.recipe_configs import EvaluateConfig


@config_command("evaluate", EvaluateConfig)
def command(config: EvaluateConfig, program: Program) -> None:
    """Samples that the model trained on are judged apart from the others: what it remembers is not what it knows. A
    predictor needs --metadata; an encoder --tree or --unifrac-matrix, for the distances.
    """
    from aam_train.recipes.inputs import read_evaluate_inputs

    inputs = read_evaluate_inputs(config)
    from aam_train.recipes.evaluate import run_evaluate  # imports torch

    program.say(f"wrote {run_evaluate(config, inputs, quiet=program.quiet)}")
