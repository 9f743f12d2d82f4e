"""Report of a predictor and its baselines: tables and plots of a run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aam_train.evaluation.comparison import Comparison
from aam_train.evaluation.interval_coverage import coverage_lines, coverages, write_coverage
from aam_train.evaluation.predictions import suffix_of, write_full, write_predictions
from aam_train.evaluation.value_results import value_lines
from aam_train.files import write_json, write_table
from aam_train.options.baselines import MODEL_NAMES
from aam_train.reporting.jsonl import read_records
from aam_train.reporting.numbers import short
from aam_train.reporting.records import Reporter


def write_tables(run: Path, comparison: Comparison) -> None:
    """Write ``predictions*.tsv``: first of all, so that nothing that fails later loses them."""
    write_predictions(run / "predictions.tsv", comparison.predictions.take(comparison.held_out))
    columns = {"split": list(comparison.part), "group": list(comparison.group)}
    write_full(run / "predictions_full.tsv", comparison.predictions, truth=comparison.truth, columns=columns)


def write_report(run: Path, comparison: Comparison, results: dict[str, Any], reporter: Reporter | None = None) -> None:
    """Write ``report/results.json`` and plots, and report the results to ``reporter``.

    Args:
        run: the run folder.
        comparison: with the baselines.
        results: see `aam_train.evaluation.results`.
        reporter: receives the results in words; None for nobody.
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
    if reporter is not None:
        for line in [*result_lines(results), *coverage_lines(covered)]:
            reporter.note(line)


def write_summary(run: Path, results: dict[str, Any], reporter: Reporter) -> None:
    """Write ``report/results.json`` and the comparison of several repeats, and report the results to ``reporter``."""
    report = run / "report"
    report.mkdir(exist_ok=True)
    write_json(report / "results.json", results)
    _plot_bars(report, results)
    for line in result_lines(results):
        reporter.note(line)


def _write_confusion(path: Path, comparison: Comparison) -> None:
    """Write counts of held-out samples by true class (rows) and predicted class (columns)."""
    classes, chosen = comparison.predictions.classes, comparison.held_out
    pairs = Counter(zip(comparison.truth[chosen, 0], comparison.predictions.values[chosen, 0], strict=True))
    rows = ([true, *(str(pairs[true, predicted]) for predicted in classes)] for true in classes)
    write_table(path, ["true class", *classes], rows)


def result_lines(results: dict[str, Any]) -> list[str]:
    """Describe the results in words, one line per target and model, and the verdict."""
    if not results["targets"]:
        return ["no sample is held out, so there are no held-out metrics and no baselines"]
    lines = []
    for target, models in results["targets"].items():
        intervals = results["intervals"][target]
        lines.append(f"{target}, {results['samples']:,} held-out samples (95 % intervals in brackets):")
        lines += model_lines(models, intervals)
        if "values" in results:
            mean = results["values"]["mean"]
            lines.append(f"{target}, mean over the values of {results['values']['column']}:")
            lines += model_lines(mean["targets"][target], mean["intervals"][target])
        for over in ("folds", "repeats", "members"):
            if spread := results.get(over, {}).get(target):
                lines.append(f"{target}, mean and standard deviation over the {over}:")
                lines += [f"  {MODEL_NAMES[model]:<15}{_spread_in_words(each, over)}" for model, each in spread.items()]
    lines += value_lines(results["values"], MODEL_NAMES) if "values" in results else []
    lines += [sentence for sentences in results["verdict"].values() for sentence in sentences]
    lines += [
        f"warning: the baseline {MODEL_NAMES[name]} is left out: {reason}"
        for name, reason in results.get("left_out", {}).items()
    ]
    return lines


def model_lines(
    models: Mapping[str, Mapping[str, float]], intervals: Mapping[str, Mapping[str, Sequence[float]]]
) -> list[str]:
    """Return a line for each model: ``"  random forest  auc 0.712 (0.66 to 0.76), ..."``."""
    return [
        f"  {MODEL_NAMES[model]:<15}{metrics_in_words(metrics, intervals[model])}" for model, metrics in models.items()
    ]


def metrics_in_words(metrics: Mapping[str, float], intervals: Mapping[str, Sequence[float]]) -> str:
    """Return names and values of metrics: ``"r2 0.512 (0.42 to 0.6), mae 3.4"``; no interval where it is a point."""
    words = []
    for name, value in metrics.items():
        low, high = intervals.get(name, (math.nan, math.nan))
        is_shown = math.isfinite(low) and math.isfinite(high) and low != high
        words.append(f"{name} {short(value)}" + (f" ({short(low, 2)} to {short(high, 2)})" if is_shown else ""))
    return ", ".join(words)


def _spread_in_words(metrics: Mapping[str, Mapping[str, float]], over: str) -> str:
    defined = {name: value for name, value in metrics.items() if value[over]}
    return ", ".join(f"{name} {short(value['mean'])} ± {short(value['sd'], 2)}" for name, value in defined.items())


def _plot(run: Path, comparison: Comparison, results: dict[str, Any]) -> None:
    from aam_train.evaluation.plots import plot_curves, plot_predictions

    report = run / "report"
    if (run / "metrics.jsonl").is_file():
        plot_curves(report / "curves.png", read_records(run / "metrics.jsonl"))
    for part, prefix, title in (("test", "", "held-out samples"), ("validation", "validation_", "validation samples")):
        chosen = comparison.part == part
        predictions, truth = comparison.predictions.take(chosen), comparison.truth[chosen]
        plot_predictions(report, predictions, truth, title, prefix=prefix, log_targets=comparison.log_targets)
    _plot_bars(report, results)


def _plot_bars(report: Path, results: dict[str, Any]) -> None:
    """Plot the main metric of all models with its interval, one file per target."""
    from aam_train.evaluation.plots import plot_comparison

    targets = results["targets"]
    for t, (name, models) in enumerate(targets.items()):
        metric = "auc" if "auc" in models["aam"] else "r2"
        bars = {MODEL_NAMES[model]: values[metric] for model, values in models.items()}
        intervals = {MODEL_NAMES[model]: tuple(found[metric]) for model, found in results["intervals"][name].items()}
        path = report / f"comparison{suffix_of(list(targets), t)}.png"
        plot_comparison(path, bars, f"{metric.upper()} of {name}", intervals)
