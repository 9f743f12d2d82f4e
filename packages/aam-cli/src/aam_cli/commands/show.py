"""``aam show``."""

from __future__ import annotations

from pathlib import Path

import click

from aam_cli.command import message_options
from aam_cli.commands import COMMANDS
from aam_cli.errors import Program


@click.command("show", help=f"{COMMANDS['show']}\n\nMODEL is a model folder or a run folder.", params=message_options())
@click.argument("model", type=click.Path(path_type=Path))
@click.pass_obj
def command(program: Program, model: Path) -> None:
    from aam_train.describe import describe

    rows = describe(model)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        program.say(f"{name:{width}}  {value}")
