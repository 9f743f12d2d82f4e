"""``aam rf-baseline``."""

from __future__ import annotations

from aam_cli.command import config_command
from aam_cli.errors import Program
from aam_train.options.recipe_configs import BaselineConfig


@config_command(
    "rf-baseline",
    BaselineConfig,
    example="aam rf-baseline --table table.biom --metadata metadata.tsv --metadata-column age \\\n"
    "  --group-column host --output forest.tsv",
)
def command(config: BaselineConfig, program: Program) -> None:
    """The same forest as in the report of every `aam train`, on its own: trained on relative abundances, with the same
    splits, warnings, scores and constant baseline. The importance of every feature is written too.
    """
    from aam_train.recipes.random_forest import random_forest_baseline

    for path in random_forest_baseline(config, program.log):
        program.print(f"wrote {path}")
