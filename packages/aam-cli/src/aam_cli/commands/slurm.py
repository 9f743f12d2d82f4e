"""``aam slurm``: the same as ``aam-rocm slurm``, with the switches that every command of aam has."""

from __future__ import annotations

import click

from aam_cli.command import message_options
from aam_rocm_tools.slurm.command import command as shared

command = click.Command(
    "slurm",
    callback=shared.callback,
    params=[*shared.params, *message_options()],
    help=shared.help,
    short_help=shared.short_help,
)
