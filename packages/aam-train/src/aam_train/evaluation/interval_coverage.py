"""How often the truth lies within predicted intervals, in all and by category.

Shares have Clopper & Pearson's interval of 95 %: what a binomial count of independent samples leaves open. Samples of
one host are not independent, so with few hosts it is too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta

from aam_train.evaluation.predictions import Predictions
from aam_train.files import write_table


@dataclass(frozen=True)
class Coverage:
    """Of the samples of one part, or of those with one value of a column.

    Attributes:
        nominal: share that the interval promises.
        column, value: empty for all samples of the part.
        samples: with a known truth.
        inside: of them, those whose truth is within its interval.
    """

    target: str
    nominal: float
    part: str
    column: str
    value: str
    samples: int
    inside: int

    @property
    def share(self) -> float:
        return self.inside / self.samples

    def uncertainty(self) -> tuple[float, float]:
        """Clopper & Pearson's 95 % interval of the share."""
        k, n = self.inside, self.samples
        low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
        return low, float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0

    def row(self) -> dict[str, Any]:
        """Everything, for tables and JSON."""
        low, high = self.uncertainty()
        return {**asdict(self), "coverage": self.share, "low": low, "high": high}


def coverages(
    predictions: Predictions, truth: np.ndarray, part: np.ndarray, labels: Mapping[str, np.ndarray]
) -> list[Coverage]:
    """Coverage of every target with an interval, of samples that did not train: each part, then by column and value.

    Args:
        predictions: of R samples.
        truth: [R, T], NaN = missing.
        part: text [R].
        labels: by column text [R], empty or None where missing.
    """
    found = []
    for t, name in enumerate(predictions.names):
        interval = predictions.interval(t)
        if interval is None:
            continue
        values = truth[:, t].astype(np.float64)
        known, inside = np.isfinite(values), (interval.lower <= values) & (values <= interval.upper)
        for which in [each for each in ("validation", "test", "new") if (part == each).any()]:
            here = known & (part == which)
            everyone = [("", "", here)]
            by_value = [
                (column, str(value), here & (of == value))
                for column, of in labels.items()
                for value in sorted({value for value in of[here] if value})
            ]
            found += [
                Coverage(name, interval.nominal, which, column, value, int(chosen.sum()), int((inside & chosen).sum()))
                for column, value, chosen in [*everyone, *by_value]
                if chosen.any()
            ]
    return found


def write_coverage(path: Path, found: list[Coverage]) -> None:
    """``coverage.tsv``: a row a part, column and value."""
    rows = [one.row() for one in found]
    texts = ([f"{v:.6g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows)
    write_table(path, list(rows[0]), texts)


def coverage_lines(found: list[Coverage]) -> list[str]:
    """In words: each part as a whole, and of each column the value that is covered least."""
    lines = []
    for one in found:
        if one.column:
            continue
        low, high = one.uncertainty()
        lines.append(
            f"{one.target}, interval of {one.nominal:.0%}: holds {one.share:.1%} of {one.samples:,} {one.part} samples "
            f"(95 % confidence: {low:.1%} to {high:.1%})"
        )
        same = [each for each in found if (each.target, each.part) == (one.target, one.part) and each.column]
        for column in dict.fromkeys(each.column for each in same):
            least = min((each for each in same if each.column == column), key=lambda each: each.share)
            lines.append(f"  least for {column} {least.value}: {least.share:.1%} of {least.samples:,}")
    return lines
