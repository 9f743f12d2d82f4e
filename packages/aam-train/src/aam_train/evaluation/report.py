"""Report of a predictor and its baselines: tables and plots of a run."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_train.evaluation.baselines import BaselineData, compute_baselines
from aam_train.evaluation.interval_coverage import coverage_lines, coverages, write_coverage
from aam_train.evaluation.metrics import classification_metrics, mean_of_defined
from aam_train.evaluation.predictions import (
    Predictions,
    is_known,
    log_targets,
    make_predictions,
    number_metrics,
    point_predictions,
    pool_predictions,
    suffix_of,
    true_values,
    write_full,
    write_predictions,
)
from aam_train.evaluation.random_forest import ForestOptions
from aam_train.files import write_json, write_table
from aam_train.reporting.jsonl import read_records
from aam_train.reporting.records import Reporter

if TYPE_CHECKING:
    from aam_train.data.run_data import RunData

MODEL_NAMES = {
    "aam": "AAM",
    "random_forest": "random forest",
    "metadata_forest": "metadata alone",
    "constant": "constant",
}
BETWEEN_SAMPLES = {"auc", "pearson_r"}  # metrics that compare samples with each other


@dataclass(frozen=True, eq=False)
class Comparison:
    """Predictions of one run (or of all folds) in the targets' own units, and those of the baselines.

    Attributes:
        predictions: predictions of the model for all R samples.
        truth: [R, T] numbers (NaN = missing) or class names (None = missing).
        part: text [R]: train, validation or test.
        group: text [R], empty for none.
        baselines: predictions of the test samples by name of the baseline, in the order of ``predictions``.
        left_out: reason for each baseline that was not computed.
        categories: text [R] by metadata column, None where missing; coverage is reported by category.
        log_targets: names of the targets that are learned on a logarithmic scale, and plotted on one.
    """

    predictions: Predictions
    truth: np.ndarray
    part: np.ndarray
    group: np.ndarray
    baselines: dict[str, Predictions] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    categories: dict[str, np.ndarray] = field(default_factory=dict)
    log_targets: frozenset[str] = frozenset()

    @property
    def held_out(self) -> np.ndarray:
        return self.part == "test"


def own_predictions(
    data: RunData, rows: np.ndarray, outputs: np.ndarray, groups: Mapping[str, str | None] | None
) -> Comparison:
    """Convert outputs [R, W] of the model for ``rows`` to predictions beside the truth, without baselines yet."""
    metadata, ids, part_of = data.study.metadata, data.study.table.sample_ids, data.splits.part_of()
    assert metadata is not None
    predictions = make_predictions(data.preprocessor, ids[rows], outputs, data.scales[rows])
    return Comparison(
        predictions=predictions,
        truth=true_values(metadata, predictions.names, predictions.classes, rows),
        part=np.array([part_of[i] for i in ids[rows]], dtype=object),
        group=np.array([(groups or {}).get(i) or "" for i in ids[rows]], dtype=object),
        categories={column: metadata.text(column)[rows] for column in data.preprocessor.categorical_columns},
        log_targets=log_targets(data.preprocessor),
    )


def with_baselines(comparison: Comparison, data: RunData, targets: np.ndarray, seed: int) -> Comparison:
    """Add the baselines' predictions of the test samples; ``targets`` as in `BaselineData`."""
    test = data.rows["test"]
    if not len(test):
        return comparison
    rarefier, inputs = data.maker.samples.rarefier, data.maker.collator.inputs
    computed = compute_baselines(
        BaselineData(data.preprocessor, data.rows, rarefier, inputs, targets), ForestOptions(seed)
    )
    ids = data.study.table.sample_ids[test]
    baselines = {
        name: baseline_predictions(data.preprocessor, ids, outputs, data.scales[test])
        for name, outputs in computed.outputs.items()
    }
    return replace(comparison, baselines=baselines, left_out=computed.left_out)


def pool_folds(folds: list[Comparison]) -> Comparison:
    """Pool the held-out parts of all folds: every sample is predicted by the model that was not trained on it."""
    names = [name for name in folds[0].baselines if all(name in fold.baselines for fold in folds)]
    return Comparison(
        predictions=pool_predictions([fold.predictions.take(fold.held_out) for fold in folds]),
        truth=np.concatenate([fold.truth[fold.held_out] for fold in folds]),
        part=np.concatenate([fold.part[fold.held_out] for fold in folds]),
        group=np.concatenate([fold.group[fold.held_out] for fold in folds]),
        baselines={name: pool_predictions([fold.baselines[name] for fold in folds]) for name in names},
        left_out={name: reason for fold in folds for name, reason in fold.left_out.items()},
        categories={
            column: np.concatenate([fold.categories[column][fold.held_out] for fold in folds])
            for column in folds[0].categories
        },
        log_targets=folds[0].log_targets,
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
    results = {"part": "test", "samples": int(chosen.sum()), "targets": targets if chosen.any() else {}}
    return results | ({"left_out": comparison.left_out} if comparison.left_out else {})


def results_of_folds(pooled: Comparison, folds: list[Comparison]) -> dict[str, Any]:
    """Compute the metrics of the pooled held-out samples, and their mean and spread over the folds.

    Metrics that compare samples with each other mean nothing for pooled constants, whose values differ between folds
    only because their training samples differ: they are those of the folds.
    """
    results = held_out_results(pooled)
    each = [held_out_results(fold)["targets"] for fold in folds]
    results["folds"] = {
        target: {model: _over_folds([fold[target][model] for fold in each]) for model in models}
        for target, models in results["targets"].items()
    }
    for target, models in results["targets"].items():
        for name in BETWEEN_SAMPLES & models["constant"].keys():
            models["constant"][name] = results["folds"][target]["constant"][name]["mean"]
    return results


def _over_folds(metrics: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {name: mean_and_spread([each.get(name, math.nan) for each in metrics]) for name in metrics[0]}


def mean_and_spread(values: Sequence[float]) -> dict[str, float]:
    """Compute mean and standard deviation (of a sample) of the defined values, and their number."""
    defined = [value for value in values if math.isfinite(value)]
    spread = statistics.stdev(defined) if len(defined) > 1 else math.nan
    return {"mean": mean_of_defined(values), "sd": spread, "folds": len(defined)}


def write_tables(run: Path, comparison: Comparison) -> None:
    """Write ``predictions*.tsv``: first of all, so that nothing that fails later loses them."""
    write_predictions(run / "predictions.tsv", comparison.predictions.take(comparison.held_out))
    columns = {"split": list(comparison.part), "group": list(comparison.group)}
    write_full(run / "predictions_full.tsv", comparison.predictions, truth=comparison.truth, columns=columns)


def write_report(run: Path, comparison: Comparison, results: dict[str, Any], reporter: Reporter) -> None:
    """Write ``report/results.json`` and plots, and report the results to ``reporter``.

    Args:
        run: the run folder.
        comparison: with the baselines.
        results: see `held_out_results` and `results_of_folds`.
        reporter: receives the results in words.
    """
    report = run / "report"
    report.mkdir(exist_ok=True)
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
        lines += [f"  {MODEL_NAMES[model]:<15}{metrics_in_words(metrics)}" for model, metrics in models.items()]
        if folds := results.get("folds", {}).get(target):
            lines.append(f"{target}, mean and standard deviation over the folds:")
            lines += [f"  {MODEL_NAMES[model]:<15}{_spread_in_words(metrics)}" for model, metrics in folds.items()]
    lines += [
        f"warning: the baseline {MODEL_NAMES[name]} is left out: {reason}"
        for name, reason in results.get("left_out", {}).items()
    ]
    return lines


def metrics_in_words(metrics: Mapping[str, float]) -> str:
    """Return names and values of metrics: ``"r2 0.512, mae 3.4"``."""
    return ", ".join(f"{name} {value:.3g}" for name, value in metrics.items())


def _spread_in_words(metrics: Mapping[str, Mapping[str, float]]) -> str:
    defined = {name: value for name, value in metrics.items() if value["folds"]}
    return ", ".join(f"{name} {value['mean']:.3g} ± {value['sd']:.2g}" for name, value in defined.items())


def baseline_predictions(
    preprocessor: Preprocessor, ids: np.ndarray, outputs: np.ndarray, scales: np.ndarray
) -> Predictions:
    """Convert the outputs of a baseline, see `Baselines`, to predictions."""
    if preprocessor.labels is None:
        return point_predictions(preprocessor, ids, outputs, scales)
    with np.errstate(divide="ignore"):  # a share of 0 is a logit of -inf
        return make_predictions(preprocessor, ids, np.log(outputs))


def prediction_metrics(truth: np.ndarray, predictions: Predictions, target: int) -> dict[str, float]:
    """Compute the metrics of one target; ``truth`` [R] numbers or class names, NaN or None where missing."""
    if predictions.probabilities is not None:
        known = is_known(truth)
        code = {name: number for number, name in enumerate(predictions.classes)}
        codes = np.array([code[value] for value in truth[known]])
        return classification_metrics(codes, predictions.probabilities[known])
    return number_metrics(truth, predictions, target)


def _plot(run: Path, comparison: Comparison, results: dict[str, Any]) -> None:
    from aam_train.evaluation.plots import plot_comparison, plot_curves, plot_predictions

    report, names = run / "report", comparison.predictions.names
    if (run / "metrics.jsonl").is_file():
        plot_curves(report / "curves.png", read_records(run / "metrics.jsonl"))
    for part, prefix, title in (("test", "", "held-out samples"), ("validation", "validation_", "validation samples")):
        chosen = comparison.part == part
        predictions, truth = comparison.predictions.take(chosen), comparison.truth[chosen]
        plot_predictions(report, predictions, truth, title, prefix=prefix, log_targets=comparison.log_targets)
    for t, name in enumerate(names if results["targets"] else ()):
        metric = "auc" if comparison.predictions.classes else "r2"
        bars = {MODEL_NAMES[model]: values[metric] for model, values in results["targets"][name].items()}
        plot_comparison(report / f"comparison{suffix_of(names, t)}.png", bars, f"{metric.upper()} of {name}")
