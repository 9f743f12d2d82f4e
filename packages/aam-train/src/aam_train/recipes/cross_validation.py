"""Cross-validation of `aam train`: runs one fold after the other, and reports all of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aam_data.splits.splits import Splits
from aam_train.evaluation.comparison import Comparison, pool_folds
from aam_train.evaluation.report import write_report, write_summary, write_tables
from aam_train.evaluation.results import results_of_folds
from aam_train.evaluation.value_results import results_of_values
from aam_train.options.recipe_configs import TrainConfig
from aam_train.recipes.inputs import RunInputs
from aam_train.reporting.console import ConsoleReporter
from aam_train.runs.folder import RunFolder

TrainFold = Callable[[RunFolder, Splits], Comparison | None]


def cross_validate(
    config: TrainConfig, inputs: RunInputs, splits: Sequence[Splits], console: ConsoleReporter, train_fold: TrainFold
) -> None:
    """Train a model for each split, and report them together.

    Args:
        config: all settings.
        inputs: with the folder of each fold.
        splits: one for each fold of each repeat, or for each value of ``--cv-by``.
        console: receives the results in words.
        train_fold: trains one; returns None on all processes but the first.
    """
    transfer, names = config.transfer, _names(config, inputs, splits)
    comparisons = []
    for name, split, fold in zip(names, splits, inputs.folds, strict=False):
        console.note(name)
        comparison = train_fold(fold, split)
        comparisons += [] if comparison is None else [comparison]
    if not comparisons:
        return
    folder, seed = inputs.folder.path, config.run.seed
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
