"""Cross-validation and ensembles of `aam train`: one run after the other, and a report of all of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from aam_data.random_keys import Purpose, generator
from aam_data.splits.splits import Splits
from aam_train.evaluation.comparison import Comparison, pool_folds
from aam_train.evaluation.predictions import average_predictions
from aam_train.evaluation.report import write_report, write_summary, write_tables
from aam_train.evaluation.results import results_of_folds, results_of_members
from aam_train.evaluation.value_results import results_of_values
from aam_train.options.recipe_configs import TrainConfig
from aam_train.recipes.inputs import RunInputs
from aam_train.reporting.console import ConsoleReporter
from aam_train.runs.ensemble import publish_members
from aam_train.runs.folder import RunFolder

TrainOne = Callable[[TrainConfig, RunFolder, Splits], Comparison | None]
_LARGEST_SEED = 2**53  # numbers that every program reads exactly


def train_members(
    config: TrainConfig, inputs: RunInputs, splits: Splits, console: ConsoleReporter, train_one: TrainOne
) -> None:
    """Train the members of an ensemble on one split, and report their average.

    Args:
        config: all settings.
        inputs: with the folder of each member.
        splits: the samples of each part, the same for all members.
        console: receives the results in words.
        train_one: trains one with its own settings; returns None on all processes but the first.
    """
    comparisons = []
    for number, member in enumerate(inputs.folds, 1):
        console.note(f"member {number} of {len(inputs.folds)}")
        if member.resume is not None and (member.report / "results.json").is_file():
            unless = "" if config.is_probe else ", unless --epochs has increased"
            console.note(f"{member.path.name} is finished: it is not trained again{unless}")
        comparison = train_one(member_settings(config, number), member, splits)
        comparisons += [] if comparison is None else [comparison]
    if not comparisons:
        return
    folder, seed = inputs.folder.path, config.run.seed
    _publish(inputs, len(comparisons), console)
    predictions = average_predictions([one.predictions for one in comparisons])
    average = replace(comparisons[0], predictions=predictions)
    write_tables(folder, average)
    write_report(folder, average, results_of_members(average, comparisons, seed), console)


def member_settings(config: TrainConfig, number: int) -> TrainConfig:
    """Return the settings of a member of an ensemble, by its number from 1.

    The first one has the seed of the run, and so is the model of a run without ``--ensemble``. It alone is compared
    with the baselines, which are the same for all.
    """
    if number == 1:
        return config
    seed = int(generator(config.run.seed, Purpose.MEMBERS, number).integers(_LARGEST_SEED))
    transfer = replace(config.transfer, baselines="none")
    return replace(config, run=replace(config.run, seed=seed), transfer=transfer)


def _publish(inputs: RunInputs, n_models: int, console: ConsoleReporter) -> None:
    """Write which models `aam predict` averages, or log why it cannot."""
    path = inputs.folder.path
    names = [fold.path.relative_to(path).as_posix() for fold in inputs.folds[:n_models]]
    if text := publish_members(path, names):
        console.note(f"warning: aam predict cannot average the models of {path}, only use one of them: {text}")


def cross_validate(
    config: TrainConfig, inputs: RunInputs, splits: Sequence[Splits], console: ConsoleReporter, train_one: TrainOne
) -> None:
    """Train a model for each split, and report them together.

    Args:
        config: all settings.
        inputs: with the folder of each fold.
        splits: one for each fold of each repeat, or for each value of ``--cv-by``.
        console: receives the results in words.
        train_one: trains one; returns None on all processes but the first.
    """
    transfer, names = config.transfer, _names(config, inputs, splits)
    comparisons = []
    for name, split, fold in zip(names, splits, inputs.folds, strict=False):
        console.note(name)
        comparison = train_one(config, fold, split)
        comparisons += [] if comparison is None else [comparison]
    if not comparisons:
        return
    folder, seed = inputs.folder.path, config.run.seed
    _publish(inputs, len(splits), console)
    if transfer.repeats > 1:
        of_repeat = [comparisons[start : start + transfer.cv] for start in range(0, len(comparisons), transfer.cv)]
        repeats = [(pool_folds(folds), folds) for folds in of_repeat]
        for number, (pooled, folds) in enumerate(repeats, 1):
            own = folder / f"repeat-{number}"
            write_tables(own, pooled)
            write_report(own, pooled, results_of_folds([(pooled, folds)], seed))
        write_summary(folder, results_of_folds(repeats, seed), console)
        return
    pooled = pool_folds(comparisons)
    write_tables(folder, pooled)
    if transfer.cv_by is None:
        results = results_of_folds([(pooled, comparisons)], seed)
    else:
        by_value = dict(zip(_values(config, inputs, splits), comparisons, strict=True))
        results = results_of_values(pooled, by_value, transfer.cv_by, seed)
    write_report(folder, pooled, results, console)


def _names(config: TrainConfig, inputs: RunInputs, splits: Sequence[Splits]) -> list[str]:
    """Return what the log calls each fold."""
    transfer, n = config.transfer, len(splits)
    if transfer.cv_by is not None:
        values = _values(config, inputs, splits)
        return [f"fold {k} of {n}: {transfer.cv_by} {value}" for k, value in enumerate(values, 1)]
    if transfer.repeats == 1:
        return [f"fold {k} of {n}" for k in range(1, n + 1)]
    folds = [(repeat, fold) for repeat in range(1, transfer.repeats + 1) for fold in range(1, transfer.cv + 1)]
    return [f"repeat {repeat} of {transfer.repeats}, fold {fold} of {transfer.cv}" for repeat, fold in folds]


def _values(config: TrainConfig, inputs: RunInputs, splits: Sequence[Splits]) -> list[str]:
    """Return the value that each split holds out."""
    metadata, column = inputs.study.metadata, config.transfer.cv_by
    assert metadata is not None
    assert column is not None
    value_of = dict(zip(inputs.study.table.sample_ids, metadata.text(column), strict=True))
    return [str(value_of[split.test[0]]) for split in splits]
