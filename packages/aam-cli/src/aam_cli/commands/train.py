"""``aam train``."""

from __future__ import annotations

from aam_cli.categorical_help import categorical_help
from aam_cli.command import config_command
from aam_cli.errors import Program
from aam_train.options.recipe_configs import TrainConfig


@config_command("train", TrainConfig, None, categorical_help())
def command(config: TrainConfig, program: Program) -> None:
    """Samples of one host, plate or study belong on one side of the split: name their column with --group-column.
    The held-out samples are predicted beside a random forest and a constant.
    """
    from aam_train.parallel.environment import speaks
    from aam_train.recipes.inputs import read_run_inputs

    inputs = read_run_inputs(config)
    from aam_train.recipes.train import run_train  # imports torch: two seconds that a wrong path need not wait for

    path = run_train(config, inputs, quiet=program.quiet)
    if speaks(config.parallel):
        program.say(f"wrote {path}")
