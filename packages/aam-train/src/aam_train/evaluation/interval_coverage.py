"""Coverage of predicted intervals, overall and by category.

Shares have a 95 % confidence interval after Clopper & Pearson, which assumes independent samples. Samples of one host
are not independent, so with few hosts it is too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aam_train.evaluation.predictions import Predictions
from aam_train.files import write_table


@dataclass(frozen=True)
class Coverage:
    """Coverage of an interval on the samples of one part, or on those with one value of a column.

    Attributes:
        nominal: nominal coverage of the interval.
        column, value: empty for all samples of the part.
        samples: number of samples with a known truth.
        inside: number of those whose truth is within the interval.
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
        """Compute Clopper & Pearson's 95 % confidence interval of the share."""
        from scipy.stats import beta  # half a second, which commands without intervals need not wait for

        k, n = self.inside, self.samples
        low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
        return low, float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0

    def row(self) -> dict[str, Any]:
        """Return all values, for tables and JSON."""
        low, high = self.uncertainty()
        return {**asdict(self), "coverage": self.share, "low": low, "high": high}


def coverages(
    predictions: Predictions, truth: np.ndarray, part: np.ndarray, categories: Mapping[str, np.ndarray]
) -> list[Coverage]:
    """Compute the coverage of every interval on samples outside training: of each part, then by column and value.

    Args:
        predictions: predictions of R samples.
        truth: [R, T] true values, NaN = missing.
        part: text [R], the part of each sample.
        categories: text [R] by column, empty or None where missing.
    """
    rows = []
    for t, name in enumerate(predictions.names):
        interval = predictions.interval(t)
        if interval is None:
            continue
        values = truth[:, t].astype(np.float64)
        known, inside = np.isfinite(values), (interval.lower <= values) & (values <= interval.upper)
        for name_of_part in [each for each in ("validation", "test", "new") if (part == each).any()]:
            here = known & (part == name_of_part)
            everyone = [("", "", here)]
            by_value = [
                (column, str(value), here & (texts == value))
                for column, texts in categories.items()
                for value in sorted({value for value in texts[here] if value})
            ]
            rows += [
                Coverage(
                    name, interval.nominal, name_of_part, column, value, int(chosen.sum()), int((inside & chosen).sum())
                )
                for column, value, chosen in [*everyone, *by_value]
                if chosen.any()
            ]
    return rows


def write_coverage(path: Path, coverages: list[Coverage]) -> None:
    """Write ``coverage.tsv``: one row per target, part, column and value."""
    rows = [each.row() for each in coverages]
    texts = ([f"{v:.6g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows)
    write_table(path, list(rows[0]), texts)


def coverage_lines(coverages: list[Coverage]) -> list[str]:
    """Describe coverage in words: of each part, and of the least covered value of each column."""
    lines = []
    for one in coverages:
        if one.column:
            continue
        low, high = one.uncertainty()
        lines.append(
            f"{one.target}, interval of {one.nominal:.0%}: covers {one.share:.1%} of {one.samples:,} {one.part} "
            f"samples (95 % confidence: {low:.1%} to {high:.1%})"
        )
        same = [each for each in coverages if (each.target, each.part) == (one.target, one.part) and each.column]
        for column in dict.fromkeys(each.column for each in same):
            least = min((each for each in same if each.column == column), key=lambda each: each.share)
            lines.append(f"  lowest for {column} {least.value}: {least.share:.1%} of {least.samples:,}")
    return lines
