"""Model outputs -> the tables that people and QIIME 2 read."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam_data.output_files import replacing
from aam_data.preprocessor import Preprocessor
from aam_train.metrics import probabilities


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of R samples in the targets' own terms.

    Attributes:
        sample_ids: object [R].
        values: [R, T] numbers in the columns' units, or names of the likeliest classes.
        probabilities: float64 [R, K] of the classes; None for numbers.
        names: of the T targets.
        classes: names of the K classes; empty for numbers.
    """

    sample_ids: np.ndarray
    values: np.ndarray
    probabilities: np.ndarray | None
    names: tuple[str, ...]
    classes: tuple[str, ...]

    def take(self, chosen: np.ndarray) -> Predictions:
        """Some of the samples (indices or mask)."""
        shares = None if self.probabilities is None else self.probabilities[chosen]
        return Predictions(self.sample_ids[chosen], self.values[chosen], shares, self.names, self.classes)


def make_predictions(
    preprocessor: Preprocessor, sample_ids: np.ndarray, outputs: np.ndarray, scales: np.ndarray | None = None
) -> Predictions:
    """Outputs [R, W] (transformed units or logits) in the targets' own terms; scales as for `Preprocessor.invert`."""
    labels = preprocessor.labels
    shares = probabilities(outputs) if labels is not None else None
    values = preprocessor.invert(outputs if shares is None else shares, scales)
    names = tuple(target.spec.name for target in preprocessor.targets)
    return Predictions(sample_ids, values, shares, names, labels.names if labels else ())


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
    return Predictions(ids, np.concatenate([part.values for part in parts]), shares, parts[0].names, classes)


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
    extra, measured = dict(columns or {}), dict(numbers or {})
    header = ["sample-id", "target", *(["truth"] if truth is not None else []), "prediction", *measured, *extra]
    rows = []
    for r, sample_id in enumerate(predictions.sample_ids):
        for t, name in enumerate(predictions.names):
            known = [] if truth is None else [_text(truth[r, t])]
            more = [*(_text(values[r, t]) for values in measured.values()), *(values[r] for values in extra.values())]
            rows.append([sample_id, name, *known, _text(predictions.values[r, t]), *more])
    if not_predicted is not None:
        header.append("note")
        rows = [[*row, ""] for row in rows]
        for sample_id, reason in not_predicted.items():
            empty = [""] * (len(header) - 3)
            rows += [[sample_id, name, *empty, f"not predicted: {reason}"] for name in predictions.names]
    write_table(path, header, rows)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A tab-separated file, written beside its place and renamed."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, "excel-tab", lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _text(value: object) -> str:
    """Numbers with 9 digits (all that float32 holds), missing as empty, class names as they are."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return f"{value:.9g}" if isinstance(value, float | np.floating) else str(value)
