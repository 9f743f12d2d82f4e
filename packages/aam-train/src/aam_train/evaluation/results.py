"""Metrics of a model and its baselines on held-out samples, with intervals, differences and a verdict."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aam_train.evaluation.comparison import Comparison
from aam_train.evaluation.metrics import classification_metrics, mean_of_defined
from aam_train.evaluation.predictions import Predictions, is_known, number_metrics
from aam_train.options.baselines import CONSTANT
from aam_train.statistics.bootstrap import (
    DRAWS,
    LEVEL,
    Bounds,
    GroupBootstrap,
    Sampled,
    SampleSize,
    interval_of,
    interval_of_difference,
)
from aam_train.statistics.verdict import Contrast, verdict
from aam_train.statistics.weighted_metrics import (
    Draws,
    weighted_classification,
    weighted_intervals,
    weighted_regression,
)

BETWEEN_SAMPLES = {"auc", "pearson_r"}  # metrics that compare samples with each other
Metrics = dict[str, float]


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures of one target: of the model ("aam") and of each baseline, by metric."""

    models: dict[str, dict[str, Sampled]]
    size: SampleSize
    has_groups: bool

    def values(self) -> dict[str, Metrics]:
        """Return the value of each metric."""
        return {model: {name: each.value for name, each in found.items()} for model, found in self.models.items()}

    def intervals(self) -> dict[str, dict[str, Bounds]]:
        """Return the interval of each figure."""
        return {
            model: {name: interval_of(name, each, self.size) for name, each in found.items()}
            for model, found in self.models.items()
        }

    def differences(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return model minus baseline, by baseline and metric."""
        own = self.models.get("aam", {})
        return {
            model: {name: self._difference(name, each, found[name]) for name, each in own.items() if name in found}
            for model, found in self.models.items()
            if own and model != "aam"
        }

    def _difference(self, name: str, own: Sampled, other: Sampled) -> dict[str, float]:
        low, high = interval_of_difference(name, own, other, self.size)
        return {"value": own.value - other.value, "low": low, "high": high}

    def undefined(self) -> dict[str, dict[str, int]]:
        """Return in how many draws a figure was undefined and left out, where there are any."""
        counts = {
            model: {name: each.undefined for name, each in found.items() if each.undefined}
            for model, found in self.models.items()
        }
        return {model: found for model, found in counts.items() if found}


def measure(repeats: Sequence[Comparison], target: int, seed: int) -> Measured:
    """Measure a target on the held-out samples.

    Args:
        repeats: the same held-out samples in one or several repeats; metrics are means over the repeats, and all
            repeats see the same draws of groups.
        target: index of the target.
        seed: random seed of the run.
    """
    each = [_measure_once(comparison, target, seed) for comparison in repeats]
    first = each[0]
    names = [name for name in first.models if all(name in one.models for one in each)]
    models = {
        name: {metric: _mean_sampled([one.models[name][metric] for one in each]) for metric in first.models[name]}
        for name in names
    }
    return Measured(models, first.size, first.has_groups)


def _mean_sampled(each: Sequence[Sampled]) -> Sampled:
    if len(each) == 1:
        return each[0]
    return Sampled(mean_of_defined([one.value for one in each]), np.mean([one.draws for one in each], axis=0))


def _measure_once(comparison: Comparison, target: int, seed: int) -> Measured:
    chosen = comparison.held_out
    models = {"aam": comparison.predictions.take(chosen), **comparison.baselines}
    return measure_models(models, comparison.truth[chosen], comparison.group[chosen], target, seed)


def measure_models(
    models: Mapping[str, Predictions], truth: np.ndarray, groups: np.ndarray, target: int, seed: int
) -> Measured:
    """Measure one target of several models on the same samples and draws.

    Args:
        models: predictions of R samples by model.
        truth: [R, T] numbers or class names, NaN or None where missing.
        groups: text [R], empty for none.
        target: index of the target.
        seed: random seed of the draws.
    """
    values = truth[:, target]
    known, first = is_known(values), next(iter(models.values()))
    bootstrap = GroupBootstrap.draw(groups[known].tolist(), first.sample_ids[known].tolist(), seed)
    codes = class_codes(values[known], first.classes) if first.classes else None
    sampled = {
        name: sampled_metrics(values[known], predictions.take(known), target, bootstrap)
        for name, predictions in models.items()
    }
    return Measured(sampled, SampleSize.of(bootstrap.group_of, codes), bool((groups != "").any()))


def sampled_metrics(
    truth: np.ndarray, predictions: Predictions, target: int, bootstrap: GroupBootstrap
) -> dict[str, Sampled]:
    """Compute the metrics of one target, on the samples and in each draw.

    Args:
        truth: [R] known numbers or class names.
        predictions: of the same samples.
        target: index of the target.
        bootstrap: of the same samples.
    """
    values = prediction_metrics(truth, predictions, target)
    if not len(truth):
        return {name: Sampled(value, np.full(DRAWS, np.nan)) for name, value in values.items()}
    draws = bootstrap.measure(lambda weights: _weighted(weights, truth, predictions, target))
    return {name: Sampled(value, draws[name]) for name, value in values.items()}


def _weighted(weights: np.ndarray, truth: np.ndarray, predictions: Predictions, target: int) -> Draws:
    if predictions.probabilities is not None:
        return weighted_classification(weights, class_codes(truth, predictions.classes), predictions.probabilities)
    values = truth.astype(np.float64)
    draws = weighted_regression(weights, values, predictions.values[:, target].astype(np.float64))
    if (interval := predictions.interval(target)) is not None:
        draws |= weighted_intervals(weights, values, interval.lower, interval.upper)
    return draws


def class_codes(truth: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return the codes of class names, int64 [R]."""
    code = {name: number for number, name in enumerate(classes)}
    return np.array([code[value] for value in truth], dtype=np.int64)


def prediction_metrics(truth: np.ndarray, predictions: Predictions, target: int) -> Metrics:
    """Compute the metrics of one target; ``truth`` [R] numbers or class names, NaN or None where missing."""
    if predictions.probabilities is not None:
        known = is_known(truth)
        return classification_metrics(class_codes(truth[known], predictions.classes), predictions.probabilities[known])
    return number_metrics(truth, predictions, target)


def held_out_results(comparison: Comparison, seed: int) -> dict[str, Any]:
    """Compute the metrics of the model and the baselines on held-out samples, by target."""
    names = comparison.predictions.names if comparison.held_out.any() else ()
    measured = {name: measure([comparison], t, seed) for t, name in enumerate(names)}
    return _results(measured, [comparison])


def _results(
    measured: Mapping[str, Measured], repeats: Sequence[Comparison], *, one_split: bool = True
) -> dict[str, Any]:
    """Put metrics, intervals, differences and verdict into the form of ``results.json``."""
    first = repeats[0]
    results: dict[str, Any] = {"part": "test", "samples": int(first.held_out.sum())}
    results["targets"] = {target: each.values() for target, each in measured.items()}
    if left_out := {name: reason for one in repeats for name, reason in one.left_out.items()}:
        results["left_out"] = left_out
    if not measured:
        return results
    return results | uncertainty(measured, is_classes=bool(first.predictions.classes), one_split=one_split)


def uncertainty(
    measured: Mapping[str, Measured], *, is_classes: bool, of: str = "", one_split: bool = True
) -> dict[str, Any]:
    """Return intervals, differences, what the bootstrap drew, and the verdict, by target.

    Args:
        measured: metrics of each target.
        is_classes: whether the targets are classes.
        of: what is drawn, in the plural; empty for groups or samples.
        one_split: see `verdict`.
    """
    metric, undefined = "auc" if is_classes else "r2", {t: each.undefined() for t, each in measured.items()}
    return {
        "intervals": {
            target: {model: {name: list(bounds) for name, bounds in found.items()} for model, found in each.items()}
            for target, each in ((target, one.intervals()) for target, one in measured.items())
        },
        "differences": {target: each.differences() for target, each in measured.items()},
        "bootstrap": {
            "draws": DRAWS,
            "level": LEVEL,
            "groups": {target: each.size.groups for target, each in measured.items()},
            "undefined": {target: found for target, found in undefined.items() if found},
        },
        "verdict": {
            target: _verdict(target, metric, each, of, one_split=one_split)
            for target, each in measured.items()
            if CONSTANT in each.models and each.size.groups
        },
    }


def _verdict(target: str, metric: str, measured: Measured, of: str, *, one_split: bool) -> list[str]:
    intervals, differences = measured.intervals(), measured.differences()
    contrasts = {
        model: Contrast(
            difference=found[metric]["value"],
            bounds=Bounds(found[metric]["low"], found[metric]["high"]),
            beats_constant=_beats_constant(metric, measured, model, intervals[model][metric]),
        )
        for model, found in differences.items()
    }
    drawn = of or ("groups" if measured.has_groups else "samples")
    return verdict(target, metric, contrasts, measured.size.groups, drawn, one_split=one_split)


def _beats_constant(metric: str, measured: Measured, model: str, bounds: Bounds) -> bool:
    if model == CONSTANT:
        return False
    if metric == "auc":
        return bounds.low > 0.5
    pair = measured.models[model][metric], measured.models[CONSTANT][metric]
    return interval_of_difference(metric, *pair, measured.size).low > 0


def results_of_folds(repeats: Sequence[tuple[Comparison, Sequence[Comparison]]], seed: int) -> dict[str, Any]:
    """Compute the metrics of the pooled held-out samples, and their mean and spread over folds and repeats.

    Metrics that compare samples with each other mean nothing for pooled constants, whose values differ between folds
    only because their training samples differ: they are those of the folds.

    Args:
        repeats: pooled held-out samples of each repeat, and its folds.
        seed: random seed of the run.
    """
    pooled = [one for one, _ in repeats]
    each = [_plain_metrics(fold) for _, folds in repeats for fold in folds]
    measured = {}
    for t, target in enumerate(pooled[0].predictions.names):
        found = measure(pooled, t, seed)
        for name in BETWEEN_SAMPLES & found.models[CONSTANT].keys():
            value = mean_of_defined([fold[target][CONSTANT][name] for fold in each])
            found.models[CONSTANT][name] = Sampled(value, np.full(DRAWS, value))
        measured[target] = found
    results = _results(measured, pooled, one_split=False)
    results["folds"] = {
        target: {model: over_folds([fold[target][model] for fold in each]) for model in models}
        for target, models in results["targets"].items()
    }
    if len(repeats) > 1:
        results["repeats"] = _over_repeats(pooled, results["targets"])
    return results


def results_of_members(average: Comparison, members: Sequence[Comparison], seed: int) -> dict[str, Any]:
    """Compute the metrics of the averaged predictions of an ensemble, and mean and spread of those of its members.

    Args:
        average: with the averaged predictions, and the baselines.
        members: each with its own predictions of the same samples.
        seed: random seed of the run.
    """
    results = held_out_results(average, seed)
    if results["targets"]:
        each = [_plain_metrics(one) for one in members]
        results["members"] = {
            target: {"aam": over_folds([one[target]["aam"] for one in each], "members")} for target in each[0]
        }
    return results


def _plain_metrics(comparison: Comparison) -> dict[str, dict[str, Metrics]]:
    """Compute the metrics of held-out samples by target and model, without intervals."""
    chosen = comparison.held_out
    truth = comparison.truth[chosen]
    models = {"aam": comparison.predictions.take(chosen), **comparison.baselines}
    return {
        name: {model: prediction_metrics(truth[:, t], predictions, t) for model, predictions in models.items()}
        for t, name in enumerate(comparison.predictions.names)
    }


def _over_repeats(pooled: Sequence[Comparison], targets: Mapping[str, Mapping[str, Metrics]]) -> dict[str, Any]:
    """Return mean, spread and number of the pooled metrics of each repeat."""
    each = [_plain_metrics(one) for one in pooled]
    over = {
        target: {model: over_folds([one[target][model] for one in each], "repeats") for model in models}
        for target, models in targets.items()
    }
    for models in over.values():  # as in results_of_folds
        for name in BETWEEN_SAMPLES & models[CONSTANT].keys():
            del models[CONSTANT][name]
    return over


def over_folds(metrics: Sequence[Mapping[str, float]], what: str = "folds") -> dict[str, dict[str, float]]:
    """Return mean, spread and number of each metric over folds."""
    return {name: mean_and_spread([each.get(name, math.nan) for each in metrics], what) for name in metrics[0]}


def mean_and_spread(values: Sequence[float], what: str = "folds") -> dict[str, float]:
    """Compute mean and standard deviation (of a sample) of the defined values, and their number."""
    defined = [value for value in values if math.isfinite(value)]
    spread = statistics.stdev(defined) if len(defined) > 1 else math.nan
    return {"mean": mean_of_defined(values), "sd": spread, what: len(defined)}
