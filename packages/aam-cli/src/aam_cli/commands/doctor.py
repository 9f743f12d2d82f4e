"""``aam doctor``."""

from __future__ import annotations

import json

import click

from aam_cli.command import message_options
from aam_cli.commands import COMMANDS

PACKAGES = ("aam-cli", "aam-train", "aam-models", "aam-data", "aam-rocm-tools")
_DETAILS = "Parts that do not fit together are reported as warnings. `aam-rocm attention` checks numerical results."


@click.command("doctor", help=f"{COMMANDS['doctor']}\n\n{_DETAILS}", params=message_options())
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(as_json: bool) -> None:
    from importlib.metadata import version

    from aam_rocm_tools.environment import environment_report, inspect_environment

    environment, packages = inspect_environment(), {name: version(name) for name in PACKAGES}
    if as_json:
        click.echo(json.dumps({"packages": packages, **environment.to_dict()}, indent=1))
        return
    click.echo(f"AAM: {', '.join(f'{name} {number}' for name, number in packages.items())}")
    click.echo(environment_report(environment))
