"""``aam pretrain``."""

from __future__ import annotations

from aam_cli.command import config_command
from aam_cli.errors import Program
from aam_train.options.recipe_configs import PretrainConfig


@config_command("pretrain", PretrainConfig)
def command(config: PretrainConfig, program: Program) -> None:
    """The encoder places samples so that their distances match UniFrac, and fills in masked bases and hidden
    abundances. Metadata are used for --group-column alone.
    """
    from aam_train.parallel.environment import speaks
    from aam_train.recipes.inputs import read_run_inputs

    inputs = read_run_inputs(config)
    from aam_train.recipes.pretrain import (
        run_pretrain,  # imports torch: two seconds that a wrong path need not wait for
    )

    path = run_pretrain(config, inputs, quiet=program.quiet)
    if speaks(config.parallel):
        program.say(f"wrote {path}")
