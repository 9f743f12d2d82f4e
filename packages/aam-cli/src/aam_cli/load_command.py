"""Import of a subcommand by its name, when it runs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

# These are rows of the table in `aam_cli.commands.recipes`; each other one is ``command`` in the module of its name.
_RECIPES = {"demo", "pretrain", "train", "predict", "evaluate", "embed"}


def load_command(name: str) -> click.Command:
    """Import and return a subcommand."""
    if name in _RECIPES:
        from aam_cli.commands.recipes import recipe_command

        return recipe_command(name)
    command: click.Command = import_module(f"aam_cli.commands.{name.replace('-', '_')}").command
    return command
