"""Subcommands whose options are the fields of a root config and whose help has two tiers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from aam_cli.commands import COMMANDS
from aam_cli.errors import Program
from aam_cli.input_paths import check_input_paths
from aam_cli.options import ConfigOption, config_options
from aam_cli.progress import announce_table
from aam_data.options.alias import option_called
from aam_models.errors import ModelError
from aam_train.options.toml import (
    ConfigError,
    build_config,
    config_fields,
    fields_by_spelling,
    flag,
    merge_spellings,
    values_from_toml,
)

RootT = TypeVar("RootT")


def config_command(
    name: str, root_class: type[RootT], *, example: str
) -> Callable[[Callable[[RootT, Program], int | None]], ConfigCommand]:
    """Make ``function(config, program)`` the subcommand ``name``; its docstring follows the summary in the help."""
    return lambda function: ConfigCommand(
        name, root_class, function, COMMANDS[name], inspect.getdoc(function) or "", example=example
    )


class ConfigCommand(click.Command):
    """A command that builds its root config from the options and ``--config`` and passes it to a function.

    Args:
        name: the subcommand's name.
        root_class: its root config; each field of its sections is an option.
        function: called as ``function(config, program)``; an integer that it returns becomes the exit status.
        summary: one line, for the list of commands and the start of the help.
        details: what follows the summary in the help.
        options: options besides those of the config.
        example: a command line, for the end of the help.
    """

    def __init__(
        self,
        name: str,
        root_class: type,
        function: Callable[[Any, Program], int | None],
        summary: str,
        details: str,
        options: Sequence[click.Option] = (),
        example: str = "",
    ) -> None:
        self.root_class: type[Any] = root_class
        self.example = example
        super().__init__(
            name,
            params=[*config_options(root_class), *options, *program_options(), *deprecated_options(name)],
            callback=function,
            help=f"{summary}\n\n{details}",
            short_help=summary,
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; for an unknown option, suggest the one that is meant."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            names = list(config_fields(self.root_class))
            if meant := option_called(error.option_name, names):
                text = f"No such option '{error.option_name}'. Did you mean '{flag(meant)}'?"
                raise click.NoSuchOption(error.option_name, text, ctx=error.ctx) from error
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the function; an integer that it returns becomes the exit status."""
        config = parse_config(self.root_class, ctx)
        program = ctx.ensure_object(Program)
        self.check_paths(config)
        announce_table(config, program)
        assert self.callback is not None
        return self.callback(config, program)

    def check_paths(self, config: object) -> None:
        """Check that what the options name can be read, before the command imports what takes seconds."""
        check_input_paths(config)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their sections: the common ones, or all of them after ``--help-all``."""
        show_all = ctx.meta.get(_HELP_ALL, False)
        sections: dict[str, list[tuple[str, str]]] = {}
        n_omitted = 0
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if isinstance(param, ConfigOption) and not (param.common or param.required or show_all):
                n_omitted += 1
            else:
                name, text = record
                text = _FLAG.sub(lambda flag: flag[0].replace("-", _UNBROKEN), text)
                sections.setdefault(getattr(param, "heading", "General"), []).append((name, text))
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
        if n_omitted:
            formatter.write_paragraph()
            formatter.write_text(f"{n_omitted} more: {ctx.command_path} --help-all")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example as it is, without wrapping its lines."""
        if self.example:
            with formatter.section("Example"):
                formatter.write_text(f"\b\n{self.example}")

    def get_help(self, ctx: click.Context) -> str:
        """Return the help text; flags in it are not broken at their hyphens."""
        return super().get_help(ctx).replace(_UNBROKEN, "-")


def parse_config(root_class: type[RootT], ctx: click.Context) -> RootT:
    """Build the root config of a command: values come from the command line, then ``--config``, then the defaults.

    Args:
        root_class: the command's root config.
        ctx: the context into which the command line was parsed.

    Raises:
        click.UsageError: unknown keys in the file, missing values or values out of range.
    """
    fields = config_fields(root_class)
    given = {
        name: ctx.params[name]
        for name in fields_by_spelling(fields)
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    try:
        values = merge_spellings(given, fields, flag)
        return build_config(root_class, _values_from_file(root_class, ctx.params["config"]) | values)
    except ConfigError as error:
        raise click.UsageError(str(error), ctx) from error


def _values_from_file(root_class: type, file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    from aam_data.readers.source import first_bytes_of_text
    from aam_models.storage.bounded_text import MAX_SETTINGS, read_bounded_text

    if not (file.is_file() and file.stat().st_size == 0):  # an empty file sets nothing
        first_bytes_of_text(file, "--config")  # raises for what is not a file of text
    try:
        return values_from_toml(read_bounded_text(file, MAX_SETTINGS, through_links=True), root_class)
    except ModelError as error:
        raise ConfigError(f"--config {error}") from error
    except ConfigError as error:
        raise ConfigError(f"--config {file}: {error}") from error


def program_options() -> list[click.Option]:
    """Return the options of every command besides its config: ``--config, --quiet, --verbose, --debug, --help-all``."""
    return [
        click.Option(
            ["--config"],
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="TOML file that sets these options, like a run's config.toml; the command line takes precedence.",
        ),
        *message_options(),
        _flag("--help-all", _show_all_help, "Show all options and exit."),
    ]


def message_options() -> list[click.Option]:
    """Return ``--quiet``, ``--verbose`` and ``--debug``; eager, so that errors in options respect them."""
    return [
        _flag("--quiet", _remember, "Print errors and warnings only."),
        _flag("--verbose", _remember, "Print all metrics and the throughput of every epoch of a run."),
        _flag("--debug", _remember, "Show the traceback of an error, and warnings of libraries."),
    ]


def _flag(name: str, callback: Callable[[click.Context, click.Parameter, Any], None], text: str) -> click.Option:
    return click.Option([name], is_flag=True, is_eager=True, expose_value=False, callback=callback, help=text)


# Options of the earlier AAM that scripts may still pass, and why they are gone.
_DEPRECATED = {
    "--no-sequence-cache": "distinct sequences are always encoded once, so there is no cache to switch off",
    "--sync-batchnorm": "there is no batch normalization",
}
_ACCEPTED_BY = {"pretrain": tuple(_DEPRECATED), "train": tuple(_DEPRECATED), "predict": ("--no-sequence-cache",)}


def deprecated_options(command: str) -> list[click.Option]:
    """Return the hidden flags of a command that print one line and do nothing."""
    return [
        click.Option([flag], is_flag=True, hidden=True, expose_value=False, callback=_warn_deprecated)
        for flag in _ACCEPTED_BY.get(command, ())
    ]


def _warn_deprecated(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    flag = param.opts[0]
    if value and not ctx.resilient_parsing:
        ctx.ensure_object(Program).log(f"warning: {flag} is deprecated and does nothing: {_DEPRECATED[flag]}")


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
