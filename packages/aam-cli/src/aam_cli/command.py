"""A subcommand: its options are the fields of a root config, its help has two tiers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from aam_cli.commands import COMMANDS
from aam_cli.config_file import read_config
from aam_cli.errors import Program
from aam_cli.options import ConfigOption, config_options

RootT = TypeVar("RootT")


def config_command(
    name: str, root_class: type[RootT], short_help: str | None = None, *further: click.Option
) -> Callable[[Callable[[RootT, Program], int | None]], ConfigCommand]:
    """Make ``function(config, program)`` the subcommand ``name``; its docstring follows the one-line help, which is
    that of ``COMMANDS`` unless it is given, and ``further`` are options beyond the config's."""
    return lambda function: ConfigCommand(name, root_class, function, short_help or COMMANDS[name], further)


class ConfigCommand(click.Command):
    """A command that builds its root config from the options and ``--config`` and hands it to a function."""

    def __init__(
        self,
        name: str,
        root_class: type,
        function: Callable[[Any, Program], int | None],
        short_help: str,
        further: Sequence[click.Option] = (),
    ) -> None:
        self.root_class: type[Any] = root_class
        super().__init__(
            name,
            params=[*config_options(root_class), *further, *program_options(), *deprecated_options(name)],
            callback=function,
            help=f"{short_help}\n\n{inspect.getdoc(function)}",
            short_help=short_help,
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the function; an integer that it returns becomes the exit status."""
        config = read_config(self.root_class, ctx, ctx.params["config"])
        assert self.callback is not None
        return self.callback(config, ctx.find_object(Program))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options under their sections: the common ones, or all of them after ``--help-all``."""
        everything = ctx.meta.get(_HELP_ALL, False)
        sections: dict[str, list[tuple[str, str]]] = {}
        left_out = 0
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if isinstance(param, ConfigOption) and not (param.common or param.required or everything):
                left_out += 1
            else:
                name, text = record
                text = _FLAG.sub(lambda flag: flag[0].replace("-", _UNBROKEN), text)
                sections.setdefault(getattr(param, "heading", "General"), []).append((name, text))
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
        if left_out:
            formatter.write_paragraph()
            formatter.write_text(f"{left_out} more: {ctx.command_path} --help-all")

    def get_help(self, ctx: click.Context) -> str:
        """The help text; flags in it are not broken at their hyphens."""
        return super().get_help(ctx).replace(_UNBROKEN, "-")


def program_options() -> list[click.Option]:
    """What every command has besides its config: ``--config, --quiet, --debug, --help-all``."""
    return [
        click.Option(
            ["--config"],
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="TOML file that sets these options, like a run's config.toml; the command line wins.",
        ),
        *message_options(),
        click.Option(
            ["--help-all"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_all_help,
            help="Show all options and exit.",
        ),
    ]


def message_options() -> list[click.Option]:
    """``--quiet`` and ``--debug``, which are eager so that they hold for errors of the other options too."""
    return [
        click.Option(
            ["--quiet"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_remember,
            help="Print errors only.",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_remember,
            help="Show the traceback of an error, and warnings of libraries.",
        ),
    ]


# Options of the earlier AAM that scripts may still give: what became of them.
_DEPRECATED = {
    "--no-sequence-cache": "distinct sequences are always encoded once, so there is no cache to switch off",
    "--sync-batchnorm": "there is no batch normalization",
}
_TAKEN_BY = {"pretrain": tuple(_DEPRECATED), "train": tuple(_DEPRECATED), "predict": ("--no-sequence-cache",)}


def deprecated_options(command: str) -> list[click.Option]:
    """Hidden flags that print one line and do nothing."""
    return [
        click.Option([flag], is_flag=True, hidden=True, expose_value=False, callback=_tell_deprecated)
        for flag in _TAKEN_BY.get(command, ())
    ]


def _tell_deprecated(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    flag = param.opts[0]
    if value and not ctx.resilient_parsing:
        ctx.ensure_object(Program).note(f"warning: {flag} is deprecated and does nothing: {_DEPRECATED[flag]}")


_HELP_ALL = "aam_cli.help_all"
_FLAG, _UNBROKEN = re.compile(r"--[a-z-]+"), "\u2011"


def _show_all_help(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_HELP_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()


def _remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    assert param.name is not None
    if value:
        setattr(ctx.ensure_object(Program), param.name, True)
