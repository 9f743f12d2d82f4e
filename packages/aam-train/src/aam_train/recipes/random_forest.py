"""`aam rf-baseline`: the random forest that every run reports, on its own. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aam_data.checks.leaks import leak_notes
from aam_data.errors import DataError
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.class_labels import ClassLabels
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.splits.selection import groups_of, make_splits, select_samples, small_parts
from aam_data.splits.splits import Splits
from aam_data.study.study import Study, read_study
from aam_data.writers.atomic import check_output
from aam_data.writers.plain_files import sole_writer
from aam_train.evaluation.metrics import classification_metrics, regression_metrics
from aam_train.evaluation.predictions import (
    Predictions,
    full_table,
    probability_table,
    target_tables,
    write_full,
    write_predictions,
)
from aam_train.evaluation.random_forest import (
    ForestOptions,
    ForestResult,
    fit_classes,
    fit_numbers,
    relative_abundances,
)
from aam_train.files import write_json, write_table
from aam_train.options.recipe_configs import BaselineConfig


def random_forest_baseline(config: BaselineConfig, note: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Train a random forest and compare it with a constant.

    The forest is trained on training and validation samples and evaluated on held-out ones; if none are held out, it is
    trained on training samples and evaluated on validation samples.

    Args:
        config: all settings.
        note: callback for messages about skipped samples and for the metrics, line by line.

    Returns:
        The files written.

    Raises:
        DataError: something the user can change; nothing was written.

    Example:
        >>> files = TableOptions(Path("table.biom")), MetadataOptions(Path("metadata.tsv"))
        >>> random_forest_baseline(BaselineConfig(*files, BaselineOptions(("age",), Path("forest.tsv"))))
    """
    importance_file, metrics_file = _check_outputs(config)
    with sole_writer(config.baseline.output, overwrite=config.baseline.overwrite):
        return _compare(config, importance_file, metrics_file, note)


def _compare(
    config: BaselineConfig, importance_file: Path, metrics_file: Path, note: Callable[[str], None]
) -> list[Path]:
    options, target = config.baseline, config.target()
    # 1. read the files, split the samples
    study = read_study(config.table, config.metadata)
    depth = 0 if config.table.relative_abundance else options.rarefy_depth
    splits, groups = _split(config, study, target, depth, note)
    trained, evaluated = _rows(study, splits)
    # 2. train and evaluate
    both = np.concatenate([trained, evaluated])
    abundances = relative_abundances(Rarefier(study.table, depth, options.random_seed), both)
    halves = abundances[: len(trained)], abundances[len(trained) :]
    forest = ForestOptions(options.random_seed, options.n_estimators, options.features_per_split(), options.n_jobs)
    predictions, importance, results, truth = _fit(study, config, halves, trained, evaluated, forest)
    # 3. write
    results |= {"learned_from": len(trained), "judged_on": len(evaluated), "rarefy_depth": depth}
    written = [*write_predictions(options.output, predictions), importance_file, metrics_file]
    columns = {"group": [(groups or {}).get(i) or "" for i in predictions.sample_ids]}
    full = full_table(options.output)
    write_full(full, predictions, truth=truth, columns=columns)
    order, names = np.argsort(-importance, kind="stable"), study.table.feature_ids
    write_table(importance_file, ["feature", "importance"], ([names[a], f"{importance[a]:.9g}"] for a in order))
    write_json(metrics_file, results)
    for line in _lines(results, len(evaluated)):
        note(line)
    return [*written, full]


def _check_outputs(config: BaselineConfig) -> tuple[Path, Path]:
    """Check that all outputs can be written; return the files of importance and metrics."""
    options = config.baseline
    inputs = {"--table": config.table.table, "--sequences": config.table.sequences}
    inputs |= {"--metadata": config.metadata.metadata}
    importance, metrics = (
        options.output.with_name(f"{options.output.stem}_{name}") for name in ("importance.tsv", "metrics.json")
    )
    n_targets = len(config.target().metadata_column)
    more = [importance, metrics, full_table(options.output), *target_tables(options.output, n_targets)]
    more += [probability_table(options.output)] if options.classifier else []
    check_output(options.output, inputs, more, overwrite=options.overwrite)
    return importance, metrics


def _split(
    config: BaselineConfig, study: Study, target: TargetOptions, depth: int, note: Callable[[str], None]
) -> tuple[Splits, dict[str, str | None] | None]:
    """Choose and split the samples; return the split and the group of each sample."""
    selection = select_samples(study, depth, target)
    (splits,) = make_splits(study, selection.rows, config.split, config.baseline.random_seed, target)
    groups = groups_of(study, config.split)
    leaks = leak_notes(study, splits, target, config.split.group_column, depth)
    for text in [*study.notes, *selection.notes, *leaks, splits.summary(groups), *small_parts(splits)]:
        note(text)
    return splits, groups


def _rows(study: Study, splits: Splits) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those to evaluate on, int64."""
    train, test = (
        ((*splits.train, *splits.validation), splits.test) if splits.test else (splits.train, splits.validation)
    )
    if not test:
        raise DataError("no sample is held out, so there is nothing to evaluate", remedy="Use --test-size above 0")
    row_of = {sample_id: row for row, sample_id in enumerate(study.table.sample_ids)}
    trained, evaluated = (np.array([row_of[i] for i in ids], dtype=np.int64) for ids in (train, test))
    return trained, evaluated


def _lines(results: dict[str, Any], n_samples: int) -> Iterator[str]:
    """Put the metrics into lines."""
    for name, models in results["targets"].items():
        yield f"{name}, {n_samples:,} evaluated samples:"
        for model, metrics in models.items():
            words = ", ".join(f"{metric} {value:.3g}" for metric, value in metrics.items())
            yield f"  {model.replace('_', ' '):<14}{words}"


def _fit(
    study: Study,
    config: BaselineConfig,
    halves: tuple[Any, Any],
    known: np.ndarray,
    new: np.ndarray,
    forest: ForestOptions,
) -> tuple[Predictions, np.ndarray, dict[str, Any], np.ndarray]:
    """Fit the forest; return predictions of ``new``, importance of features [A], metrics and true values [R, T]."""
    assert study.metadata is not None
    names, ids = config.baseline.metadata_column, study.table.sample_ids[new]
    if config.baseline.classifier:
        values = study.metadata.text(names[0])
        labels = ClassLabels.fit(values[known], names[0], study.metadata.path)
        codes = labels.encode(values, names[0], study.metadata.path, unseen="missing")
        fitted = fit_classes(halves[0], codes[known], halves[1], len(labels.names), forest)
        prior = np.bincount(codes[known][np.isfinite(codes[known])].astype(np.int64), minlength=len(labels.names))
        labelled = np.isfinite(codes[new])
        truth = codes[new][labelled].astype(np.int64)
        models = {"random_forest": fitted.outputs, "constant": np.tile(prior / prior.sum(), (len(new), 1))}
        metrics = {model: classification_metrics(truth, shares[labelled]) for model, shares in models.items()}
        predicted = labels.decode(fitted.outputs.argmax(axis=1))[:, None]
        predictions = Predictions(ids, predicted, fitted.outputs, tuple(names), labels.names)
        return predictions, fitted.importance, {"targets": {names[0]: metrics}}, values[new][:, None]
    every: list[ForestResult] = []
    targets: dict[str, Any] = {}
    truths = np.stack([study.metadata.numeric(name) for name in names], axis=1)
    for t, name in enumerate(names):
        every.append(fit_numbers(halves[0], truths[known, t], halves[1], forest))
        labelled = np.isfinite(truths[new, t])
        truth = truths[new, t][labelled]
        constant = np.full(len(truth), np.nanmean(truths[known, t]))
        models = {"random_forest": every[-1].outputs[labelled], "constant": constant}
        targets[name] = {model: regression_metrics(truth, values) for model, values in models.items()}
    values = np.stack([fitted.outputs for fitted in every], axis=1)
    importance = np.mean([fitted.importance for fitted in every], axis=0)
    return Predictions(ids, values, None, tuple(names), ()), importance, {"targets": targets}, truths[new]
