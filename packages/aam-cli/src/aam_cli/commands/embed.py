"""``aam embed``."""

from __future__ import annotations

from aam_cli.command import config_command
from aam_cli.errors import Program
from aam_train.options.recipe_configs import EmbedConfig


@config_command("embed", EmbedConfig)
def command(config: EmbedConfig, program: Program) -> None:
    """Any model has embeddings: one row a sample, in the order of the table, or one row an ASV. The table is treated as
    the training table was.
    """
    from aam_train.recipes.inputs import read_embed_inputs

    inputs = read_embed_inputs(config)
    from aam_train.recipes.embed import run_embed  # imports torch

    for path in run_embed(config, inputs, quiet=program.quiet):
        program.say(f"wrote {path}")
