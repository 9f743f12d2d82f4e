"""Coverage of intervals: counts by hand, uncertainty from scipy, tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from aam_train.evaluation.interval_coverage import Coverage, coverage_lines, coverages, write_coverage
from aam_train.evaluation.metrics import interval_metrics
from aam_train.evaluation.predictions import Predictions, pool_predictions, write_full

TRUTH = np.array([[0.0, 5.0], [1.0, 6.0], [2.0, np.nan], [9.0, 8.0], [np.nan, 1.0]])
PART = np.array(["test", "test", "test", "validation", "train"], dtype=object)


def predictions() -> Predictions:
    """Return predictions of five samples, with an interval of the first target and none of the second."""
    ends = np.array([[-1.0, 0.0, 1.0], [2.0, 3.0, 4.0], [1.0, 2.0, 2.0], [8.0, 8.5, 9.0], [0.0, 0.0, 0.0]])
    ids = np.array(list("abcde"), dtype=object)
    values = np.stack([ends[:, 1], TRUTH[:, 1]], axis=1)
    return Predictions(ids, values, None, ("age", "bmi"), (), ((0.05, 0.5, 0.95), ()), (ends, None))


def test_coverage_by_part_column_and_value() -> None:
    labels = {"season": np.array(["dry", "wet", "dry", "wet", None], dtype=object)}
    found = [(c.part, c.column, c.value, c.samples, c.inside) for c in coverages(predictions(), TRUTH, PART, labels)]
    assert found == [
        ("validation", "", "", 1, 1),
        ("validation", "season", "wet", 1, 1),
        ("test", "", "", 3, 2),
        ("test", "season", "dry", 2, 2),
        ("test", "season", "wet", 1, 0),
    ]


@pytest.mark.parametrize(("n", "k"), [(10, 0), (10, 10), (37, 29), (1, 1)])
def test_the_uncertainty_is_clopper_and_pearsons(n: int, k: int) -> None:
    exact = binomtest(k, n).proportion_ci(0.95, "exact")
    assert Coverage("age", 0.8, "test", "", "", n, k).uncertainty() == pytest.approx((exact.low, exact.high))


def test_words_and_tables(tmp_path: Path) -> None:
    labels = {"season": np.array(["dry", "wet", "dry", "wet", None], dtype=object)}
    found = coverages(predictions(), TRUTH, PART, labels)
    lines = coverage_lines(found)
    assert "age, interval of 90%: covers 66.7% of 3 test samples (95 % confidence: 9.4% to 99.2%)" in lines
    assert "  lowest for season wet: 0.0% of 1" in lines
    write_coverage(tmp_path / "coverage.tsv", found)
    rows = [line.split("\t") for line in (tmp_path / "coverage.tsv").read_text().splitlines()]
    header = ["target", "nominal", "part", "column", "value", "samples", "inside", "coverage", "low", "high"]
    assert rows[0] == header
    assert rows[3][:8] == ["age", "0.9", "test", "", "", "3", "2", "0.666667"]

    write_full(tmp_path / "full.tsv", predictions(), truth=TRUTH)
    full = [line.split("\t") for line in (tmp_path / "full.tsv").read_text().splitlines()]
    assert full[0] == ["sample-id", "target", "truth", "prediction", "lower", "upper", "q0.05", "q0.5", "q0.95"]
    assert full[3] == ["b", "age", "1", "3", "2", "4", "2", "3", "4"]
    assert full[4] == ["b", "bmi", "6", "6", "", "", "", "", ""]


def test_pooled_predictions_keep_their_quantiles() -> None:
    both = pool_predictions([predictions().take(np.array([0, 1])), predictions().take(np.array([4]))])
    assert both.levels == ((0.05, 0.5, 0.95), ())
    assert both.quantiles[1] is None
    interval = both.interval(0)
    assert interval is not None
    assert interval.nominal == pytest.approx(0.9)
    assert interval.lower.tolist() == [-1.0, 2.0, 0.0]
    assert both.interval(1) is None


def test_interval_metrics() -> None:
    found = interval_metrics(np.array([0.0, 2.0, 5.0]), np.array([0.0, 0.0, 0.0]), np.array([1.0, 2.0, 3.0]))
    assert found == {"coverage": pytest.approx(2 / 3), "interval_width": 2.0}
    assert np.isnan(list(interval_metrics(np.zeros(0), np.zeros(0), np.zeros(0)).values())).all()
