"""``aam doctor``."""

from __future__ import annotations

import json

import click

from aam_cli.command import message_options
from aam_cli.commands import COMMANDS

PACKAGES = ("aam-cli", "aam-train", "aam-models", "aam-data", "aam-rocm-tools")
_HELP = "What does not fit together is said as a warning. `aam-rocm attention` looks at the numbers."


@click.command("doctor", help=f"{COMMANDS['doctor']}\n\n{_HELP}", params=message_options())
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of text.")
def command(as_json: bool) -> None:
    from importlib.metadata import version

    from aam_rocm_tools.environment import environment_report, look_around

    found, packages = look_around(), {name: version(name) for name in PACKAGES}
    if as_json:
        click.echo(json.dumps({"packages": packages, **found.to_dict()}, indent=1))
        return
    click.echo(f"AAM: {', '.join(f'{name} {number}' for name, number in packages.items())}")
    click.echo(environment_report(found))
