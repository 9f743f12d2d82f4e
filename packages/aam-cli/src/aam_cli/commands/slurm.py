"""``aam slurm``: the same as ``aam-rocm slurm``, with the switches of every command; options of aam are checked too."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from aam_cli.command import ConfigCommand, message_options
from aam_cli.config_file import read_config
from aam_cli.errors import Program
from aam_rocm_tools.slurm.command import command as shared
from aam_rocm_tools.slurm.config import AAM_COMMAND, Kind


def _write(kind: Kind, aam_options: tuple[str, ...], **values: Any) -> None:
    """A job that waits a day should not end with an unknown option."""
    if aam_options:
        name = AAM_COMMAND[kind]
        command = import_module(f"aam_cli.commands.{name}").command
        assert isinstance(command, ConfigCommand)
        parsed = command.make_context(f"aam {name}", list(aam_options), obj=Program())
        read_config(command.root_class, parsed, parsed.params["config"])
    assert shared.callback is not None
    shared.callback(kind=kind, aam_options=aam_options, **values)


command = click.Command(
    "slurm",
    callback=_write,
    params=[*shared.params, *message_options()],
    help=shared.help,
    short_help=shared.short_help,
)
