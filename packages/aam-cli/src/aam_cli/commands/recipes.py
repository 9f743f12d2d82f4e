"""The commands that run a recipe of aam_train: one row each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click

from aam_cli.categorical_help import categorical_help
from aam_cli.command import ConfigCommand
from aam_cli.commands import COMMANDS
from aam_cli.errors import Program
from aam_train.options.recipe_configs import (
    DemoConfig,
    EmbedConfig,
    EvaluateConfig,
    PredictConfig,
    PretrainConfig,
    TrainConfig,
)


class Recipe(NamedTuple):
    """A command of aam_train.

    Attributes:
        config: its root config.
        run: the recipe as "module:function" below ``aam_train.recipes``; it returns the path or paths that it wrote.
        read: the function of ``aam_train.recipes.inputs`` that reads its files, or None.
        details: what follows the summary in the help.
        example: a command line, for the end of the help.
        options: makes the options besides those of the config.
    """

    config: type
    run: str
    read: str | None
    details: str
    example: str
    options: tuple[Callable[[], click.Option], ...] = ()


RECIPES = {
    "demo": Recipe(
        DemoConfig,
        "demo:demo",
        None,
        "The demo simulates a study, pretrains an encoder, trains a predictor with whole hosts held out, predicts the "
        "samples, and compares AAM with a random forest and a constant. It takes about three minutes on two cores.",
        "aam demo --output-dir aam-demo",
    ),
    "pretrain": Recipe(
        PretrainConfig,
        "pretrain:pretrain",
        "read_run_inputs",
        "The encoder learns to place samples so that their distances match UniFrac, and to fill in masked bases and "
        "hidden abundances. Metadata are only used for --group-column.",
        "aam pretrain --table table.biom --tree tree.nwk --output-dir runs/encoder",
    ),
    "train": Recipe(
        TrainConfig,
        "train:train",
        "read_run_inputs",
        "Samples of one host, plate or study belong on one side of the split: name their column with --group-column. "
        "The report compares the predictions of held-out samples with a random forest and a constant.",
        "aam train --table table.biom --metadata metadata.tsv --metadata-column age \\\n"
        "  --group-column host --pretrained-encoder runs/encoder --output-dir runs/age",
        (categorical_help,),
    ),
    "predict": Recipe(
        PredictConfig,
        "predict:predict",
        "read_predict_inputs",
        "The table is processed like the training table: everything that was fitted is stored with the model.",
        "aam predict --model runs/age --table new.biom --output predictions.tsv",
    ),
    "evaluate": Recipe(
        EvaluateConfig,
        "evaluate:evaluate",
        "read_evaluate_inputs",
        "Samples that the model trained on are evaluated separately from the others: memorised samples would inflate "
        "the score. A predictor needs --metadata; an encoder needs --tree or --unifrac-matrix for the distances.",
        "aam evaluate --model runs/age --table table.biom --metadata metadata.tsv \\\n  --output-dir evaluation",
    ),
    "embed": Recipe(
        EmbedConfig,
        "embed:embed",
        "read_embed_inputs",
        "Works with any model and writes one row per sample, in the order of the table, or one row per ASV. The table "
        "is processed like the training table.",
        "aam embed --model runs/encoder --table table.biom --output embeddings.tsv",
    ),
}


_WITH_EPOCHS = (RECIPES["pretrain"].run, RECIPES["train"].run)  # whose output --verbose adds to


def recipe_command(name: str) -> ConfigCommand:
    """Return the subcommand of a row of the table."""
    recipe = RECIPES[name]
    return ConfigCommand(
        name,
        recipe.config,
        partial(run_recipe, recipe.run, recipe.read),
        COMMANDS[name],
        recipe.details,
        [make() for make in recipe.options],
        recipe.example,
    )


def run_recipe(run: str, read: str | None, config: Any, program: Program) -> None:
    """Read the inputs, run the recipe and print what it wrote; see `Recipe` for ``run`` and ``read``.

    Files are read before the recipe's module imports torch: a wrong path need not wait two seconds for that.
    """
    inputs = () if read is None else (_load(f"inputs:{read}")(config),)
    more = {"verbose": program.verbose} if run in _WITH_EPOCHS else {}
    written = _load(run)(config, *inputs, quiet=program.quiet, **more)
    if _prints_results(config):
        for path in [written] if isinstance(written, Path) else written:
            program.print(f"wrote {path}")


def _load(name: str) -> Any:
    module, function = name.split(":")
    return getattr(import_module(f"aam_train.recipes.{module}"), function)


def _prints_results(config: object) -> bool:
    """Return whether this process is the only one of the run or the first one."""
    if not isinstance(config, PretrainConfig | TrainConfig):
        return True
    from aam_train.parallel.environment import is_rank_zero_env

    return is_rank_zero_env(config.parallel)
