"""Report of a predictor and its baselines: tables and plots of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_train.data.run_data import RunData
from aam_train.evaluation.baselines import baseline_outputs
from aam_train.evaluation.interval_coverage import coverage_lines, coverages, write_coverage
from aam_train.evaluation.metrics import classification_metrics
from aam_train.evaluation.predictions import (
    Predictions,
    make_predictions,
    number_metrics,
    point_predictions,
    pool_predictions,
    write_full,
    write_predictions,
)
from aam_train.files import write_json, write_table
from aam_train.reporting.jsonl import read_records
from aam_train.reporting.records import Reporter

MODEL_NAMES = {
    "aam": "AAM",
    "random_forest": "random forest",
    "metadata_forest": "metadata alone",
    "constant": "constant",
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Predictions of one run (or of all folds) in the targets' own units, and those of the baselines.

    Attributes:
        predictions: predictions of the model for all R samples.
        truth: [R, T] numbers (NaN = missing) or class names (None = missing).
        part: text [R]: train, validation or test.
        group: text [R], empty for none.
        baselines: predictions of the test samples by name of the baseline, in the order of ``predictions``.
        categories: text [R] by metadata column, None where missing; coverage is reported by category.
    """

    predictions: Predictions
    truth: np.ndarray
    part: np.ndarray
    group: np.ndarray
    baselines: dict[str, Predictions]
    categories: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def held_out(self) -> np.ndarray:
        return self.part == "test"


def compare(
    data: RunData,
    rows: np.ndarray,
    outputs: np.ndarray,
    targets: np.ndarray,
    groups: Mapping[str, str | None] | None,
    seed: int,
) -> Comparison:
    """Compare outputs [R, W] of the model for ``rows`` with the baselines' predictions of the test samples."""
    ids = data.study.table.sample_ids
    part_of = data.splits.part_of()
    predictions = make_predictions(data.preprocessor, ids[rows], outputs, data.scales[rows])
    baselines = {}
    test = data.rows["test"]
    if len(test):
        outputs_by_name = baseline_outputs(data, targets, seed)
        baselines = {
            name: _from_baseline(data.preprocessor, ids[test], x, data.scales[test])
            for name, x in outputs_by_name.items()
        }
    return Comparison(
        predictions=predictions,
        truth=true_values(data, rows, targets[rows]),
        part=np.array([part_of[i] for i in ids[rows]], dtype=object),
        group=np.array([(groups or {}).get(i) or "" for i in ids[rows]], dtype=object),
        baselines=baselines,
        categories=_categories(data, rows),
    )


def _categories(data: RunData, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the categories that predictions depend on, by column."""
    metadata = data.study.metadata
    assert metadata is not None
    return {column: metadata.text(column)[rows] for column in data.preprocessor.categorical_columns}


def true_values(data: RunData, rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the true values [R, T] of ``rows`` as in the metadata: numbers, or class names (None = missing).

    Args:
        targets: [R, T] transformed values or class codes.
    """
    if data.preprocessor.labels is None:
        assert data.study.metadata is not None
        names = [target.spec.name for target in data.preprocessor.targets]
        return np.stack([data.study.metadata.numeric(name)[rows] for name in names], axis=1)
    classes = data.preprocessor.labels.names
    return np.array(
        [[classes[int(code)] if np.isfinite(code) else None for code in row] for row in targets], dtype=object
    )


def pool_folds(folds: list[Comparison]) -> Comparison:
    """Pool the held-out parts of all folds: every sample is predicted by the model that was not trained on it."""
    return Comparison(
        predictions=pool_predictions([fold.predictions.take(fold.held_out) for fold in folds]),
        truth=np.concatenate([fold.truth[fold.held_out] for fold in folds]),
        part=np.concatenate([fold.part[fold.held_out] for fold in folds]),
        group=np.concatenate([fold.group[fold.held_out] for fold in folds]),
        baselines={name: pool_predictions([fold.baselines[name] for fold in folds]) for name in folds[0].baselines},
        categories={
            column: np.concatenate([fold.categories[column][fold.held_out] for fold in folds])
            for column in folds[0].categories
        },
    )


def held_out_results(comparison: Comparison) -> dict[str, Any]:
    """Compute the metrics of the model and the baselines on held-out samples, by target."""
    chosen = comparison.held_out
    truth = comparison.truth[chosen]
    models = {"aam": comparison.predictions.take(chosen), **comparison.baselines}
    targets = {
        name: {model: prediction_metrics(truth[:, t], predictions, t) for model, predictions in models.items()}
        for t, name in enumerate(comparison.predictions.names)
    }
    return {"part": "test", "samples": int(chosen.sum()), "targets": targets if chosen.any() else {}}


def write_report(run: Path, comparison: Comparison, reporter: Reporter) -> None:
    """Write ``predictions*.tsv``, ``report/results.json`` and plots, and report the results to ``reporter``."""
    report = run / "report"
    report.mkdir(exist_ok=True)
    write_predictions(run / "predictions.tsv", comparison.predictions.take(comparison.held_out))
    columns = {"split": list(comparison.part), "group": list(comparison.group)}
    write_full(run / "predictions_full.tsv", comparison.predictions, truth=comparison.truth, columns=columns)
    results = held_out_results(comparison)
    categories = {**comparison.categories, **({"group": comparison.group} if comparison.group.any() else {})}
    covered = coverages(comparison.predictions, comparison.truth, comparison.part, categories)
    if covered:
        write_coverage(report / "coverage.tsv", covered)
        results["coverage"] = [one.row() for one in covered if one.column in ("", *comparison.categories)]
    if comparison.predictions.classes and comparison.held_out.any():
        _write_confusion(report / "confusion.tsv", comparison)
    write_json(report / "results.json", results)
    _plot(run, comparison, results)
    for line in [*result_lines(results), *coverage_lines(covered)]:
        reporter.note(line)


def _write_confusion(path: Path, comparison: Comparison) -> None:
    """Write counts of held-out samples by true class (rows) and predicted class (columns)."""
    classes, chosen = comparison.predictions.classes, comparison.held_out
    pairs = Counter(zip(comparison.truth[chosen, 0], comparison.predictions.values[chosen, 0], strict=True))
    rows = ([true, *(str(pairs[true, predicted]) for predicted in classes)] for true in classes)
    write_table(path, ["true class", *classes], rows)


def result_lines(results: dict[str, Any]) -> list[str]:
    """Describe the results in words, one line per target and model."""
    if not results["targets"]:
        return ["no sample is held out, so there are no held-out metrics and no baselines"]
    lines = []
    for target, models in results["targets"].items():
        lines.append(f"{target}, {results['samples']:,} held-out samples:")
        for model, metrics in models.items():
            values = ", ".join(f"{name} {value:.3g}" for name, value in metrics.items())
            lines.append(f"  {MODEL_NAMES[model]:<15}{values}")
    return lines


def _from_baseline(preprocessor: Preprocessor, ids: np.ndarray, outputs: np.ndarray, scales: np.ndarray) -> Predictions:
    if preprocessor.labels is None:
        return point_predictions(preprocessor, ids, outputs, scales)
    with np.errstate(divide="ignore"):  # a share of 0 is a logit of -inf
        return make_predictions(preprocessor, ids, np.log(outputs))


def prediction_metrics(truth: np.ndarray, predictions: Predictions, target: int) -> dict[str, float]:
    """Compute the metrics of one target; ``truth`` [R] numbers or class names, NaN or None where missing."""
    if predictions.probabilities is not None:
        known = np.array([value is not None for value in truth])
        code = {name: number for number, name in enumerate(predictions.classes)}
        codes = np.array([code[value] for value in truth[known]])
        return classification_metrics(codes, predictions.probabilities[known])
    return number_metrics(truth, predictions, target)


def _plot(run: Path, comparison: Comparison, results: dict[str, Any]) -> None:
    from aam_train.evaluation.plots import plot_comparison, plot_confusion, plot_curves, plot_scatter

    report = run / "report"
    if (run / "metrics.jsonl").is_file():
        plot_curves(report / "curves.png", read_records(run / "metrics.jsonl"))
    if not results["targets"]:
        return
    chosen = comparison.held_out
    truth, held_out = comparison.truth[chosen], comparison.predictions.take(chosen)
    for t, name in enumerate(held_out.names):
        suffix = "" if len(held_out.names) == 1 else f"-{t + 1}"
        metric = "auc" if held_out.classes else "r2"
        bars = {MODEL_NAMES[model]: values[metric] for model, values in results["targets"][name].items()}
        plot_comparison(report / f"comparison{suffix}.png", bars, f"{metric.upper()} of {name}")
        if held_out.classes:
            known = np.array([value is not None for value in truth[:, t]])
            pair = truth[known, t], held_out.values[known, t]
            plot_confusion(report / "confusion.png", *pair, held_out.classes, f"{name}, held out")
        else:
            known = np.isfinite(truth[:, t])
            values = truth[known, t], held_out.values[known, t]
            interval = held_out.take(known).interval(t)
            plot_scatter(report / f"predicted_vs_true{suffix}.png", *values, "held-out samples", name, interval)
