"""``aam lr-find pretrain`` and ``aam lr-find train``."""

from __future__ import annotations

from functools import partial

import click

from aam_cli.command import ConfigCommand
from aam_cli.commands import COMMANDS
from aam_cli.commands.recipes import RECIPES, run_recipe

_DETAILS = """Writes the curve as a table and a plot into --output-dir. --lr, --scheduler and --memory-profile have no
effect."""


def _search(name: str) -> ConfigCommand:
    recipe = RECIPES[name]
    return ConfigCommand(
        name,
        recipe.config,
        partial(run_recipe, "lr_find:lr_find", "read_search_inputs"),
        f"Search with the settings of `aam {name}`.",
        _DETAILS,
        example=recipe.example.replace(f"aam {name}", f"aam lr-find {name}").replace("runs/", "lr-find/"),
    )


command = click.Group(
    "lr-find",
    help=f"{COMMANDS['lr-find']}\n\nTakes a hundred steps with rates from 1e-6 to 1, or stops when the loss diverges. "
    "The trained weights are discarded.",
    short_help=COMMANDS["lr-find"],
    commands=[_search("pretrain"), _search("train")],
    no_args_is_help=False,
)
