"""``aam demo``."""

from __future__ import annotations

from aam_cli.command import config_command
from aam_cli.errors import Program
from aam_train.options.recipe_configs import DemoConfig


@config_command("demo", DemoConfig)
def command(config: DemoConfig, program: Program) -> None:
    """Simulates a study, pretrains an encoder, trains a predictor with whole hosts held out, predicts, and puts AAM
    beside a random forest and a constant. Takes about three minutes on two cores.
    """
    from aam_train.recipes.demo import run_demo

    program.say(f"wrote {run_demo(config, quiet=program.quiet)}")
