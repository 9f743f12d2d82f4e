"""The ``aam`` program: a group whose subcommands are imported when they are used."""

from __future__ import annotations

import difflib
import platform
import sys

import click

from aam_cli.commands import COMMANDS
from aam_cli.errors import run_program
from aam_cli.load_command import load_command


class LazyGroup(click.Group):
    """Group of the commands in ``COMMANDS``; ``aam --help`` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is no such command."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the first word; an unknown one is an error that names the nearest command."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            nearest = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"no command {args[0]!r}" + (f", did you mean {nearest[0]!r}?" if nearest else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names and summaries without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_versions(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    packages = ", ".join(f"{name} {version(name)}" for name in ("aam-data", "aam-models", "aam-train", "torch"))
    click.echo(f"aam {version('aam-cli')} ({packages}, Python {platform.python_version()})")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",  # versions of click differ
    context_settings={"max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_versions,
    help="Show the versions and exit.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Attention All Microbes: learn samples from their phylogeny, predict their metadata."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """Run ``aam`` or ``python -m aam_cli`` and exit."""
    sys.exit(run_program(cli, sys.argv[1:]))
