"""``aam unifrac``."""

from __future__ import annotations

from aam_cli.command import config_command
from aam_cli.config import UnifracConfig
from aam_cli.errors import Program


@config_command("unifrac", UnifracConfig)
def command(config: UnifracConfig, program: Program) -> None:
    """Distances are the ones that pretraining learns. Samples without a read on the tree are left out."""
    from aam_data.run_unifrac import run_unifrac

    program.say(f"wrote {run_unifrac(config.table, config.unifrac, program.note)}")
