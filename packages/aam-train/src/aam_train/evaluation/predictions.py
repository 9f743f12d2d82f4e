"""Predictions in the targets' own units, and the tables that people and QIIME 2 read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aam_data.errors import first_few
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_train.errors import TrainError
from aam_train.evaluation.metrics import interval_metrics, probabilities, regression_metrics
from aam_train.files import write_table

if TYPE_CHECKING:
    from aam_data.readers.metadata.metadata import Metadata


@dataclass(frozen=True, eq=False)
class Interval:
    """Prediction intervals: lower and upper ends [R], and their nominal coverage."""

    lower: np.ndarray
    upper: np.ndarray
    nominal: float


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of R samples in the targets' own units or classes.

    Attributes:
        sample_ids: object [R].
        values: [R, T] numbers in the columns' units, or names of the most probable classes.
        probabilities: float64 [R, K] of the classes; None for numbers.
        names: names of the T targets.
        classes: names of the K classes; empty for numbers.
        levels: levels of the quantiles that are predicted for each target; empty for none.
        quantiles: quantiles [R, Q] of each target in the column's units, None if none is predicted.
        spread: float64 [R, T], standard deviation over the members of an ensemble, of the values or of the probability
            of the predicted class; None for one model.
    """

    sample_ids: np.ndarray
    values: np.ndarray
    probabilities: np.ndarray | None
    names: tuple[str, ...]
    classes: tuple[str, ...]
    levels: tuple[tuple[float, ...], ...] = ()
    quantiles: tuple[np.ndarray | None, ...] = ()
    spread: np.ndarray | None = None

    def take(self, chosen: np.ndarray) -> Predictions:
        """Return the predictions of some of the samples (indices or mask)."""
        shares = None if self.probabilities is None else self.probabilities[chosen]
        quantiles = tuple(None if each is None else each[chosen] for each in self.quantiles)
        spread = None if self.spread is None else self.spread[chosen]
        ids, values = self.sample_ids[chosen], self.values[chosen]
        return Predictions(ids, values, shares, self.names, self.classes, self.levels, quantiles, spread)

    def numbers(self) -> np.ndarray:
        """Return all numbers that are predicted for each sample, [R, ...]: values and quantiles, or probabilities."""
        if self.probabilities is not None:
            return self.probabilities
        return np.concatenate([self.values, *(each for each in self.quantiles if each is not None)], axis=1)

    def interval(self, target: int) -> Interval | None:
        """Return the interval from the lowest to the highest quantile of a target; None for fewer than two."""
        levels, values = (self.levels[target], self.quantiles[target]) if self.quantiles else ((), None)
        if values is None or len(levels) < 2:
            return None
        return Interval(values[:, 0], values[:, -1], levels[-1] - levels[0])

    def columns(self) -> dict[str, np.ndarray]:
        """Return ``lower``, ``upper``, each quantile and ``spread`` as columns [R, T] of the full table."""
        shape, names = self.values.shape, list(dict.fromkeys(f"q{q:g}" for levels in self.levels for q in levels))
        intervals = [self.interval(t) for t in range(len(self.names))]
        ends = ["lower", "upper"] if any(intervals) else []
        table = {name: np.full(shape, np.nan) for name in [*ends, *names]}
        for t, (levels, values) in enumerate(zip(self.levels, self.quantiles, strict=True)):
            if (interval := intervals[t]) is not None:
                table["lower"][:, t], table["upper"][:, t] = interval.lower, interval.upper
            for k, q in enumerate(levels if values is not None else ()):
                assert values is not None
                table[f"q{q:g}"][:, t] = values[:, k]
        return table if self.spread is None else table | {"spread": self.spread}


def make_predictions(
    preprocessor: Preprocessor, sample_ids: np.ndarray, outputs: np.ndarray, scales: np.ndarray | None = None
) -> Predictions:
    """Convert outputs [R, W] (transformed units or logits) to predictions; ``scales`` as for `Preprocessor.invert`."""
    labels = preprocessor.labels
    if labels is None:
        scales = np.zeros((len(outputs), len(preprocessor.targets)), dtype=np.int64) if scales is None else scales
        points = point_predictions(preprocessor, sample_ids, preprocessor.points(outputs), scales)
        levels = tuple(target.quantiles for target in preprocessor.targets)
        return replace(points, levels=levels, quantiles=preprocessor.quantiles(outputs, scales))
    shares = probabilities(outputs)
    names = tuple(target.spec.name for target in preprocessor.targets)
    return Predictions(sample_ids, preprocessor.invert(shares), shares, names, labels.names)


def point_predictions(
    preprocessor: Preprocessor, sample_ids: np.ndarray, points: np.ndarray, scales: np.ndarray | None
) -> Predictions:
    """Convert numbers [R, T] in transformed units to predictions without quantiles."""
    names = tuple(target.spec.name for target in preprocessor.targets)
    return Predictions(sample_ids, preprocessor.invert(points, scales), None, names, ())


def number_metrics(truth: np.ndarray, predictions: Predictions, target: int) -> dict[str, float]:
    """Compute metrics of a numeric target and of its interval, if any; ``truth`` [R] in its units, NaN = missing."""
    known = np.isfinite(truth)
    metrics = regression_metrics(truth[known], predictions.values[known, target])
    if (interval := predictions.interval(target)) is not None:
        metrics |= interval_metrics(truth[known], interval.lower[known], interval.upper[known])
    return metrics


def log_targets(preprocessor: Preprocessor) -> frozenset[str]:
    """Return the names of the targets that are learned on a logarithmic scale."""
    return frozenset(
        target.spec.name
        for target in preprocessor.targets
        if target.transform is not None and target.transform.kind.startswith("log")
    )


def true_values(metadata: Metadata, names: Sequence[str], classes: Sequence[str], rows: np.ndarray) -> np.ndarray:
    """Return the true values of ``rows``, [R, T]: numbers (NaN = missing), or classes of the model (None for others).

    Args:
        names: of the targets.
        classes: that the model knows; empty for numbers.
    """
    if not classes:
        return np.stack([metadata.numeric(name)[rows] for name in names], axis=1)
    known = set(classes)
    texts = [text if text in known else None for text in metadata.text(names[0])[rows]]
    return np.array(texts, dtype=object)[:, None]


def is_known(truth: np.ndarray) -> np.ndarray:
    """Return which true values [R] of a target are known, bool [R]: numbers that are not NaN, classes but None."""
    if truth.dtype == object:
        return np.array([value is not None for value in truth], dtype=bool)
    known: np.ndarray = np.isfinite(truth)
    return known


def pool_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Pool predictions of several models of the same targets; classes that a model does not know have probability 0."""
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
        None if values[0] is None else np.concatenate([each for each in values if each is not None])
        for values in zip(*(part.quantiles for part in parts), strict=True)
    ]
    return Predictions(ids, values, shares, parts[0].names, classes, parts[0].levels, tuple(quantiles))


def average_predictions(members: Sequence[Predictions]) -> Predictions:
    """Average predictions of several models of the same samples, targets and classes, and add their spread.

    Numbers and their quantiles are averaged in the column's units, classes by their probabilities. Those of a single
    model are returned unchanged.
    """
    first = members[0]
    if len(members) == 1:
        return first
    assert all(np.array_equal(one.sample_ids, first.sample_ids) for one in members)
    if first.classes:
        each = np.stack([one.probabilities for one in members if one.probabilities is not None])
        shares = each.mean(axis=0)
        likeliest = shares.argmax(axis=1)
        names = np.array(first.classes, dtype=object)[likeliest][:, None]
        of_likeliest = np.take_along_axis(each, likeliest[None, :, None], axis=2)
        return replace(first, values=names, probabilities=shares, spread=of_likeliest.std(axis=0, ddof=1))
    each = np.stack([one.values for one in members])
    quantiles = tuple(
        None if of_target[0] is None else np.mean([one for one in of_target if one is not None], axis=0)
        for of_target in zip(*(one.quantiles for one in members), strict=True)
    )
    return replace(first, values=each.mean(axis=0), quantiles=quantiles, spread=each.std(axis=0, ddof=1))


def check_finite(values: np.ndarray, ids: Sequence[str] | np.ndarray, what: str) -> None:
    """Raise TrainError unless all values [R, ...] of these samples or ASVs are finite numbers.

    Args:
        what: model and kind of the values, for the message.
    """
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        shown = first_few([str(ids[row]) for row in broken.tolist()])
        raise TrainError(
            f"{what} of {len(broken):,} of {len(values):,} are not finite numbers ({shown}). The weights of the model "
            "are too large or damaged (use another checkpoint, or train again with a lower --lr), or numbers that the "
            "model reads from the metadata are far from those of its training"
        )


def full_table(path: Path) -> Path:
    """Return the path of the full table that belongs to the predictions ``path``."""
    return path.with_name(f"{path.stem}_full{path.suffix}")


def probability_table(path: Path) -> Path:
    """Return the path to which ``write_predictions`` writes class probabilities."""
    return path.with_name(f"{path.stem}_probabilities{path.suffix}")


def target_tables(path: Path, n_targets: int) -> list[Path]:
    """Return the path to which ``write_predictions`` writes each target: ``path`` itself for a single one."""
    return [path.with_name(f"{path.stem}{suffix_of(range(n_targets), t)}{path.suffix}") for t in range(n_targets)]


def suffix_of(names: Sequence[object], target: int) -> str:
    """Return what distinguishes the files of one target from those of the others; nothing for a single target."""
    return "" if len(names) == 1 else f"-{target + 1}"


def write_predictions(path: Path, predictions: Predictions) -> list[Path]:
    """Write ``sample-id, prediction``, one file per target, and class probabilities, as QIIME 2 reads them.

    Several targets go to ``<stem>-1.tsv``, ``<stem>-2.tsv`` in the order of the model's targets; column names are
    user input and never become part of a path.

    Returns:
        The files written.
    """
    written = target_tables(path, len(predictions.names))
    for t, file in enumerate(written):
        rows = zip(predictions.sample_ids, map(_format, predictions.values[:, t]), strict=True)
        write_table(file, ["sample-id", "prediction"], rows)
    if predictions.probabilities is not None:
        file = probability_table(path)
        shares = zip(predictions.sample_ids, predictions.probabilities, strict=True)
        write_table(file, ["sample-id", *predictions.classes], ([i, *map(_format, row)] for i, row in shares))
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
    """Write the full table of predictions, one row per sample and target; it has the class probabilities too.

    Args:
        truth: [R, T] true values in the targets' own units, NaN or None where unknown.
        columns: additional columns of text, [R] each.
        numbers: additional numeric columns, [R, T] each.
        not_predicted: reason by id, for samples without a prediction.
    """
    extra, measured = dict(columns or {}), predictions.columns() | dict(numbers or {})
    shares = (
        np.empty((len(predictions.sample_ids), 0)) if predictions.probabilities is None else predictions.probabilities
    )
    header = ["sample-id", "target", *(["truth"] if truth is not None else []), "prediction", *measured, *extra]
    header += [f"probability:{name}" for name in predictions.classes]
    header += [] if not_predicted is None else ["note"]
    no_note, empty = [""] * (not_predicted is not None), [""] * (len(header) - 3)

    def rows() -> Iterator[list[str]]:
        for r, sample_id in enumerate(predictions.sample_ids):
            for t, name in enumerate(predictions.names):
                known = [] if truth is None else [_format(truth[r, t])]
                more = [_format(values[r, t]) for values in measured.values()]
                more += [*(values[r] for values in extra.values()), *map(_format, shares[r])]
                yield [sample_id, name, *known, _format(predictions.values[r, t]), *more, *no_note]
        for sample_id, reason in (not_predicted or {}).items():
            for name in predictions.names:
                yield [sample_id, name, *empty, f"not predicted: {reason}"]

    write_table(path, header, rows())


def _format(value: object) -> str:
    """Format a number with 9 digits (the precision of float32), a missing value as empty, a class name unchanged."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return f"{value:.9g}" if isinstance(value, float | np.floating) else str(value)
