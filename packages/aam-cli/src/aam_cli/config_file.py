"""Where the values of a command come from: its command line, then ``--config``, then the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

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


def read_config(root_class: type[RootT], ctx: click.Context, file: Path | None) -> RootT:
    """The root config of a command that was parsed into ``ctx``.

    Raises:
        click.UsageError: ``file`` sets what the command does not have, or values are missing or out of range.
    """
    fields = config_fields(root_class)
    given = {
        name: ctx.params[name]
        for name in fields_by_spelling(fields)
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    try:
        return build_config(root_class, read_values(root_class, file) | merge_spellings(given, fields, flag))
    except ConfigError as error:
        raise click.UsageError(str(error), ctx) from error


def read_values(root_class: type, file: Path | None) -> dict[str, Any]:
    """Values that a TOML file sets. Raises ConfigError naming the file."""
    if file is None:
        return {}
    try:
        return values_from_toml(file.read_text(encoding="utf-8"), root_class)
    except UnicodeDecodeError as error:
        raise ConfigError(f"--config {file}: not a text file in UTF-8") from error
    except ConfigError as error:
        raise ConfigError(f"--config {file}: {error}") from error
