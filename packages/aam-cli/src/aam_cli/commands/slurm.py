"""``aam slurm``: ``aam-rocm slurm`` with the options of every command; the options of aam are validated too."""

from __future__ import annotations

from typing import Any

import click

from aam_cli.command import ConfigCommand, message_options, parse_config
from aam_cli.errors import Program
from aam_cli.input_paths import input_path_errors
from aam_cli.load_command import load_command
from aam_data.errors import printable
from aam_rocm_tools.slurm.command import command as shared
from aam_rocm_tools.slurm.config import AAM_COMMAND, Kind


def _write(kind: Kind, aam_options: tuple[str, ...], **values: Any) -> None:
    """Write the script; a job that waits a day should not fail because of an unknown option."""
    if aam_options:
        name = AAM_COMMAND[kind]
        command = load_command(name)
        assert isinstance(command, ConfigCommand)
        config = parse_config(command.root_class, command.make_context(f"aam {name}", list(aam_options), obj=Program()))
        for error in input_path_errors(config):  # perhaps another job writes it before this one starts
            click.echo(f"warning: {printable(str(error))}", err=True)
    assert shared.callback is not None
    shared.callback(kind=kind, aam_options=aam_options, **values)


command = click.Command(
    "slurm",
    callback=_write,
    params=[*shared.params, *message_options()],
    help=shared.help,
    short_help=shared.short_help,
)
