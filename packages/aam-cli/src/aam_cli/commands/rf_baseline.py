"""``aam rf-baseline``."""

from __future__ import annotations

from aam_cli.command import config_command
from aam_cli.errors import Program
from aam_train.options.recipe_configs import BaselineConfig


@config_command("rf-baseline", BaselineConfig)
def command(config: BaselineConfig, program: Program) -> None:
    """The forest that stands beside every model of `aam train`, by itself: on relative abundances, with the same
    splits, warnings and figures, a constant beside it. Importance of every feature is written too.
    """
    from aam_train.recipes.random_forest import run_baseline

    for path in run_baseline(config, program.note):
        program.say(f"wrote {path}")
