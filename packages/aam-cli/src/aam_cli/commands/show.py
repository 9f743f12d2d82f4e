"""``aam show``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aam_cli.command import message_options
from aam_cli.commands import COMMANDS
from aam_cli.errors import Program

_DETAILS = """PATH is a model folder, a run folder, a corpus, or any file that AAM reads or writes: table, metadata,
tree, sequences, taxonomy, distances, Faith's PD, splits, predictions, embeddings, importance, metrics, settings."""


@click.command("show", help=f"{COMMANDS['show']}\n\n{_DETAILS}", params=message_options())
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output instead of text.")
@click.argument("path", type=click.Path(path_type=Path))
@click.pass_obj
def command(program: Program, as_json: bool, path: Path) -> None:
    from aam_train.show.show import describe

    rows = describe(path)
    if as_json:
        click.echo(json.dumps([{"name": name, "value": value} for name, value in rows], indent=1))
        return
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        program.print(f"{name:{width}}  {value}")
