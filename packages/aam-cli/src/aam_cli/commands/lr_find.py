"""``aam lr-find pretrain`` and ``aam lr-find train``."""

from __future__ import annotations

import click

from aam_cli.command import config_command
from aam_cli.commands import COMMANDS
from aam_cli.errors import Program
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig


@config_command("pretrain", PretrainConfig, "Search with the settings of `aam pretrain`.")
def pretrain(config: PretrainConfig, program: Program) -> None:
    """Writes the curve as a table and a picture into --output-dir. --lr, --scheduler, --memory-profile are not used."""
    _search(config, program)


@config_command("train", TrainConfig, "Search with the settings of `aam train`.")
def train(config: TrainConfig, program: Program) -> None:
    """Writes the curve as a table and a picture into --output-dir. --lr, --scheduler, --memory-profile are not used."""
    _search(config, program)


command = click.Group(
    "lr-find",
    help=f"{COMMANDS['lr-find']}\n\nA hundred steps with rates from 1e-6 to 1, or until the loss goes up. Nothing of "
    "the model is kept.",
    short_help=COMMANDS["lr-find"],
    commands=[pretrain, train],
)


def _search(config: PretrainConfig | TrainConfig, program: Program) -> None:
    from aam_train.recipes.inputs import read_search_inputs

    study = read_search_inputs(config)
    from aam_train.recipes.lr_find import run_lr_find  # imports torch

    program.say(f"wrote {run_lr_find(config, study, quiet=program.quiet)}")
