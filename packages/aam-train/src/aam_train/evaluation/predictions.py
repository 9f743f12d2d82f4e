"""Model outputs -> the tables that people and QIIME 2 read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_train.evaluation.metrics import interval_metrics, probabilities, regression_metrics
from aam_train.files import write_table


@dataclass(frozen=True, eq=False)
class Interval:
    """Where values are expected to be, [R] from and to, with what probability."""

    lower: np.ndarray
    upper: np.ndarray
    nominal: float


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of R samples in the targets' own terms.

    Attributes:
        sample_ids: object [R].
        values: [R, T] numbers in the columns' units, or names of the likeliest classes.
        probabilities: float64 [R, K] of the classes; None for numbers.
        names: of the T targets.
        classes: names of the K classes; empty for numbers.
        levels: of each target the quantiles that are predicted; empty ones where none is.
        quantiles: of each target [R, Q] in the column's units, None where none is predicted.
    """

    sample_ids: np.ndarray
    values: np.ndarray
    probabilities: np.ndarray | None
    names: tuple[str, ...]
    classes: tuple[str, ...]
    levels: tuple[tuple[float, ...], ...] = ()
    quantiles: tuple[np.ndarray | None, ...] = ()

    def take(self, chosen: np.ndarray) -> Predictions:
        """Some of the samples (indices or mask)."""
        shares = None if self.probabilities is None else self.probabilities[chosen]
        quantiles = tuple(None if each is None else each[chosen] for each in self.quantiles)
        return Predictions(
            self.sample_ids[chosen], self.values[chosen], shares, self.names, self.classes, self.levels, quantiles
        )

    def interval(self, target: int) -> Interval | None:
        """From the lowest to the highest quantile of a target; None where fewer than two are predicted."""
        levels, found = (self.levels[target], self.quantiles[target]) if self.quantiles else ((), None)
        if found is None or len(levels) < 2:
            return None
        return Interval(found[:, 0], found[:, -1], levels[-1] - levels[0])

    def columns(self) -> dict[str, np.ndarray]:
        """``lower``, ``upper`` and each quantile as columns [R, T] of the full table, NaN where there is none."""
        shape, names = self.values.shape, list(dict.fromkeys(f"q{q:g}" for levels in self.levels for q in levels))
        intervals = [self.interval(t) for t in range(len(self.names))]
        ends = ["lower", "upper"] if any(intervals) else []
        table = {name: np.full(shape, np.nan) for name in [*ends, *names]}
        for t, (levels, found) in enumerate(zip(self.levels, self.quantiles, strict=True)):
            if (interval := intervals[t]) is not None:
                table["lower"][:, t], table["upper"][:, t] = interval.lower, interval.upper
            for place, q in enumerate(levels if found is not None else ()):
                assert found is not None
                table[f"q{q:g}"][:, t] = found[:, place]
        return table


def make_predictions(
    preprocessor: Preprocessor, sample_ids: np.ndarray, outputs: np.ndarray, scales: np.ndarray | None = None
) -> Predictions:
    """Outputs [R, W] (transformed units or logits) in the targets' own terms; scales as for `Preprocessor.invert`."""
    labels = preprocessor.labels
    if labels is None:
        scales = np.zeros((len(outputs), len(preprocessor.targets)), dtype=np.int64) if scales is None else scales
        found = point_predictions(preprocessor, sample_ids, preprocessor.points(outputs), scales)
        levels = tuple(target.quantiles for target in preprocessor.targets)
        return replace(found, levels=levels, quantiles=preprocessor.quantiles(outputs, scales))
    shares = probabilities(outputs)
    names = tuple(target.spec.name for target in preprocessor.targets)
    return Predictions(sample_ids, preprocessor.invert(shares), shares, names, labels.names)


def point_predictions(
    preprocessor: Preprocessor, sample_ids: np.ndarray, points: np.ndarray, scales: np.ndarray | None
) -> Predictions:
    """Numbers [R, T] in transformed units as predictions without quantiles."""
    names = tuple(target.spec.name for target in preprocessor.targets)
    return Predictions(sample_ids, preprocessor.invert(points, scales), None, names, ())


def number_metrics(truth: np.ndarray, predictions: Predictions, target: int) -> dict[str, float]:
    """Metrics of a numeric target and of its interval, if it has one; ``truth`` [R] in its units, NaN = missing."""
    known = np.isfinite(truth)
    found = regression_metrics(truth[known], predictions.values[known, target])
    if (interval := predictions.interval(target)) is not None:
        found |= interval_metrics(truth[known], interval.lower[known], interval.upper[known])
    return found


def pool_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of several models of the same targets; classes that a model does not know have probability 0."""
    classes = tuple(sorted({name for part in parts for name in part.classes}))
    shares = None
    if classes:
        column = {name: number for number, name in enumerate(classes)}
        shares = np.zeros((sum(len(part.sample_ids) for part in parts), len(classes)))
        row = 0
        for part in parts:
            assert part.probabilities is not None
            stop = row + len(part.sample_ids)
            shares[row:stop, [column[name] for name in part.classes]] = part.probabilities
            row = stop
    ids = np.concatenate([part.sample_ids for part in parts])
    values = np.concatenate([part.values for part in parts])
    quantiles = [
        None if found[0] is None else np.concatenate([each for each in found if each is not None])
        for found in zip(*(part.quantiles for part in parts), strict=True)
    ]
    return Predictions(ids, values, shares, parts[0].names, classes, parts[0].levels, tuple(quantiles))


def full_table(path: Path) -> Path:
    """Where ``write_full`` goes beside the predictions ``path``."""
    return path.with_name(f"{path.stem}_full{path.suffix}")


def probability_table(path: Path) -> Path:
    """Where ``write_predictions`` puts class probabilities."""
    return path.with_name(f"{path.stem}_probabilities{path.suffix}")


def target_tables(path: Path, n_targets: int) -> list[Path]:
    """Where ``write_predictions`` puts each target: ``path`` itself when there is one."""
    if n_targets == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{t + 1}{path.suffix}") for t in range(n_targets)]


def write_predictions(path: Path, predictions: Predictions) -> list[Path]:
    """``SampleID, prediction`` (QIIME 2's predictions format), one file a target, and class probabilities.

    Several targets go to ``<stem>-1.tsv``, ``<stem>-2.tsv`` in the order of the model's targets: column names are
    input and never become part of a path.

    Returns:
        The files written.
    """
    written = target_tables(path, len(predictions.names))
    for t, file in enumerate(written):
        rows = zip(predictions.sample_ids, map(_text, predictions.values[:, t]), strict=True)
        write_table(file, ["SampleID", "prediction"], rows)
    if predictions.probabilities is not None:
        file = probability_table(path)
        shares = zip(predictions.sample_ids, predictions.probabilities, strict=True)
        write_table(file, ["SampleID", *predictions.classes], ([i, *map(_text, row)] for i, row in shares))
        written.append(file)
    return written


def write_full(
    path: Path,
    predictions: Predictions,
    *,
    truth: np.ndarray | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    numbers: Mapping[str, np.ndarray] | None = None,
    not_predicted: Mapping[str, str] | None = None,
) -> None:
    """Everything known of every prediction, one row a sample and target.

    Args:
        truth: [R, T] true values in the targets' own terms, NaN or None where unknown.
        columns: further columns, [R] texts each.
        numbers: further columns of each prediction, [R, T] each.
        not_predicted: reason by id, for samples that got no prediction.
    """
    extra, measured = dict(columns or {}), predictions.columns() | dict(numbers or {})
    header = ["sample-id", "target", *(["truth"] if truth is not None else []), "prediction", *measured, *extra]
    header += [] if not_predicted is None else ["note"]
    no_note, empty = [""] * (not_predicted is not None), [""] * (len(header) - 3)

    def rows() -> Iterator[list[str]]:
        for r, sample_id in enumerate(predictions.sample_ids):
            for t, name in enumerate(predictions.names):
                known = [] if truth is None else [_text(truth[r, t])]
                more = [_text(values[r, t]) for values in measured.values()]
                more += [values[r] for values in extra.values()]
                yield [sample_id, name, *known, _text(predictions.values[r, t]), *more, *no_note]
        for sample_id, reason in (not_predicted or {}).items():
            for name in predictions.names:
                yield [sample_id, name, *empty, f"not predicted: {reason}"]

    write_table(path, header, rows())


def _text(value: object) -> str:
    """Numbers with 9 digits (all that float32 holds), missing as empty, class names as they are."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return f"{value:.9g}" if isinstance(value, float | np.floating) else str(value)
