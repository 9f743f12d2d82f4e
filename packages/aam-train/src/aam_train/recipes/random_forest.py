"""`aam rf-baseline`: the random forest beside every run, by itself. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aam_data.checks.leaks import leak_notes
from aam_data.errors import DataError
from aam_data.preprocessing.class_labels import ClassLabels
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.splits.selection import groups_of, make_splits, select_samples, small_parts
from aam_data.study.study import Study, read_study
from aam_data.writers.atomic import check_output
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
    """Fit a forest and judge it beside a constant; returns the files written.

    It learns from training and validation samples and is judged on those held out; where none are, it learns from
    training samples and is judged on those of validation.

    Args:
        note: told what was left out and how good the forest is, line by line.

    Raises:
        DataError: something the user can change; nothing was written.
    """
    options, target = config.baseline, config.target()
    files = {"--table": config.table.table, "--sequences": config.table.sequences}
    figures = [options.output.with_name(f"{options.output.stem}_{name}") for name in ("importance.tsv", "metrics.json")]
    full = full_table(options.output)
    beside = [*figures, full, *target_tables(options.output, len(target.metadata_column))]
    beside += [probability_table(options.output)] if options.classifier else []
    check_output(options.output, files | {"--metadata": config.metadata.metadata}, beside, overwrite=options.overwrite)
    study = read_study(config.table, config.metadata)
    depth = 0 if config.table.relative_abundance else options.rarefy_depth
    selection = select_samples(study, depth, target)
    (splits,) = make_splits(study, selection.rows, config.split, options.random_seed, target)
    groups = groups_of(study, config.split)
    leaks = leak_notes(study, splits, target, config.split.group_column, depth)
    for text in [*study.notes, *selection.notes, *leaks, splits.summary(groups), *small_parts(splits)]:
        note(text)

    learn, judge = (
        ((*splits.train, *splits.validation), splits.test) if splits.test else (splits.train, splits.validation)
    )
    if not judge:
        raise DataError("no sample is held out, so there is nothing to judge", remedy="Give --test-size above 0")
    row_of = {sample_id: row for row, sample_id in enumerate(study.table.sample_ids)}
    known, new = (np.array([row_of[i] for i in ids], dtype=np.int64) for ids in (learn, judge))
    abundances = relative_abundances(Rarefier(study.table, depth, options.random_seed), np.concatenate([known, new]))
    forest = ForestOptions(options.random_seed, options.n_estimators, options.features_per_split(), options.n_jobs)
    halves = abundances[: len(known)], abundances[len(known) :]
    predictions, importance, results, truth = _fit(study, config, halves, known, new, forest)

    results |= {"learned_from": len(known), "judged_on": len(new), "rarefy_depth": depth}
    written = [*write_predictions(options.output, predictions), *figures]
    columns = {"group": [(groups or {}).get(i) or "" for i in predictions.sample_ids]}
    write_full(full, predictions, truth=truth, columns=columns)
    order = np.argsort(-importance, kind="stable")
    names = study.table.feature_ids
    write_table(figures[0], ["feature", "importance"], ([names[a], f"{importance[a]:.9g}"] for a in order))
    write_json(figures[1], results)
    for name, models in results["targets"].items():
        note(f"{name}, {len(new):,} judged samples:")
        for model, metrics in models.items():
            words = ", ".join(f"{metric} {value:.3g}" for metric, value in metrics.items())
            note(f"  {model.replace('_', ' '):<14}{words}")
    return [*written, full]


def _fit(
    study: Study,
    config: BaselineConfig,
    halves: tuple[Any, Any],
    known: np.ndarray,
    new: np.ndarray,
    forest: ForestOptions,
) -> tuple[Predictions, np.ndarray, dict[str, Any], np.ndarray]:
    """Predictions of ``new``, importance of the features [A], figures, and true values [R, T]."""
    assert study.metadata is not None
    names, ids = config.baseline.metadata_column, study.table.sample_ids[new]
    if config.baseline.classifier:
        values = study.metadata.text(names[0])
        labels = ClassLabels.fit(values[known], names[0], study.metadata.path)
        codes = labels.encode(values, names[0], study.metadata.path, unseen="missing")
        fitted = fit_classes(halves[0], codes[known], halves[1], len(labels.names), forest)
        prior = np.bincount(codes[known][np.isfinite(codes[known])].astype(np.int64), minlength=len(labels.names))
        judged = np.isfinite(codes[new])
        truth = codes[new][judged].astype(np.int64)
        models = {"random_forest": fitted.outputs, "constant": np.tile(prior / prior.sum(), (len(new), 1))}
        found = {model: classification_metrics(truth, shares[judged]) for model, shares in models.items()}
        predicted = labels.decode(fitted.outputs.argmax(axis=1))[:, None]
        predictions = Predictions(ids, predicted, fitted.outputs, tuple(names), labels.names)
        return predictions, fitted.importance, {"targets": {names[0]: found}}, values[new][:, None]
    every: list[ForestResult] = []
    targets: dict[str, Any] = {}
    truths = np.stack([study.metadata.numeric(name) for name in names], axis=1)
    for t, name in enumerate(names):
        every.append(fit_numbers(halves[0], truths[known, t], halves[1], forest))
        judged = np.isfinite(truths[new, t])
        truth = truths[new, t][judged]
        constant = np.full(len(truth), np.nanmean(truths[known, t]))
        models = {"random_forest": every[-1].outputs[judged], "constant": constant}
        targets[name] = {model: regression_metrics(truth, values) for model, values in models.items()}
    values = np.stack([fitted.outputs for fitted in every], axis=1)
    importance = np.mean([fitted.importance for fitted in every], axis=0)
    return Predictions(ids, values, None, tuple(names), ()), importance, {"targets": targets}, truths[new]
