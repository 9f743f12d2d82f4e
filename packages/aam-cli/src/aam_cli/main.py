"""The ``aam`` program: a group whose subcommands are imported when they are used."""

from __future__ import annotations

import difflib
import importlib
import platform
import sys

import click

from aam_cli.commands import COMMANDS
from aam_cli.errors import run_program


class LazyGroup(click.Group):
    """The commands of ``COMMANDS``; ``aam --help`` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"aam_cli.commands.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            nearest = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"no command {args[0]!r}" + (f", did you mean {nearest[0]!r}?" if nearest else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_versions(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    below = ", ".join(f"{name} {version(name)}" for name in ("aam-data", "aam-models", "aam-train", "torch"))
    click.echo(f"aam {version('aam-cli')} ({below}, Python {platform.python_version()})")
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
    """Entry point of ``aam`` and ``python -m aam_cli``."""
    sys.exit(run_program(cli, sys.argv[1:]))
