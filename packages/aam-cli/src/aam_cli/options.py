"""Config fields as click options: name, type and default from the field, help text from the docstring under it."""

from __future__ import annotations

import ast
import inspect
import math
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import click

from aam_data.options.alias import choice_of
from aam_train.options.toml import ConfigField, config_fields, flag


class ConfigOption(click.Option):
    """Command line option of one config field.

    Attributes:
        common: whether ``--help`` shows it; ``--help-all`` shows all options.
        heading: title of its section in the help.
    """

    def __init__(self, field: ConfigField, alias: str | None = None) -> None:
        """Make the option of ``field``, or a hidden one under an older name of it."""
        self.common, self.heading = field.common, heading(field.owner)
        name = alias or field.name
        repeated = get_origin(field.kind) is tuple and get_args(field.kind)[0] is str
        is_bool = field.kind is bool
        super().__init__(
            [f"{flag(name)}/--no-{flag(name)[2:]}" if is_bool else flag(name), name],
            type=bool if is_bool else click_type(get_args(field.kind)[0] if repeated else field.kind),
            default=None if field.required or field.default == () else field.default,
            required=field.required and alias is None,
            hidden=alias is not None,
            multiple=repeated,
            show_default=True,
            help=field_help(field.owner)[field.name],
        )

    def value_is_missing(self, value: Any) -> bool:
        """Return False: a required value may come from ``--config``; ``build_config`` names all missing ones."""
        return False


def config_options(root_class: type) -> list[ConfigOption]:
    """Return the options of a root config, each followed by hidden ones for its older names."""
    return [
        ConfigOption(field, alias) for field in config_fields(root_class).values() for alias in (None, *field.aliases)
    ]


def click_type(kind: Any) -> click.ParamType:
    """Return the click type of a field's type (without ``| None``)."""
    if get_origin(kind) is Literal:
        return Choices(get_args(kind))
    if get_origin(kind) is tuple:
        return CommaList(click_type(get_args(kind)[0]))
    if kind is Path:
        return click.Path(path_type=Path)
    return {int: click.INT, float: FiniteFloat(), str: click.STRING}[kind]


class Choices(click.Choice):
    """One of several values, in any case, or by another name that `choice_of` knows."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value that is meant."""
        return super().convert(choice_of(str(value), self.choices) or value, param, ctx)


class FiniteFloat(click.ParamType):
    """Finite number; ``nan`` and ``inf`` parse as Python floats but are never a meaningful setting."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse a number."""
        number: float = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class CommaList(click.ParamType):
    """Comma-separated values of one type: ``64,32``."""

    def __init__(self, item: click.ParamType) -> None:
        self.item = item
        self.name = f"{item.name},..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Parse the values."""
        if isinstance(value, tuple):
            return value
        return tuple(self.item.convert(part.strip(), param, ctx) for part in value.split(","))


def heading(owner: type) -> str:
    """Return the title of a section: the first line of its docstring up to a colon or the full stop."""
    return (inspect.getdoc(owner) or owner.__name__).splitlines()[0].split(":")[0].rstrip(".")


@cache
def field_help(owner: type) -> dict[str, str]:
    """Return the string literal under each field of a config dataclass as one paragraph, by field name."""
    body = _classes(sys.modules[owner.__module__])[owner.__qualname__].body
    return {
        field.target.id: inspect.cleandoc(text.value.value).replace("\n", " ")
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


@cache
def _classes(module: ModuleType) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
