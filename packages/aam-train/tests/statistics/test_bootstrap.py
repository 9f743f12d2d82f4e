"""Bootstrap over groups: the draws, and how often intervals of simulated studies cover the truth."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from scipy import stats

from aam_train.statistics.bootstrap import (
    DRAWS,
    GroupBootstrap,
    Sampled,
    SampleSize,
    interval_of,
    interval_of_difference,
)
from aam_train.statistics.weighted_metrics import weighted_auc, weighted_regression


def test_groups_are_drawn_whole_and_in_any_order_of_the_samples() -> None:
    groups, ids = ["b", "a", "", "b", "", "a"], ["s1", "s2", "s3", "s4", "s5", "s6"]
    drawn = GroupBootstrap.draw(groups, ids, seed=1)
    assert drawn.counts.shape == (DRAWS, 4)  # a, b and two samples without a group
    assert (drawn.counts.sum(axis=1) == 4).all()
    assert drawn.group_of[0] == drawn.group_of[3] != drawn.group_of[1]
    order = [4, 2, 0, 5, 1, 3]
    other = GroupBootstrap.draw([groups[k] for k in order], [ids[k] for k in order], seed=1)
    np.testing.assert_array_equal(other.counts[:, other.group_of], drawn.counts[:, drawn.group_of][:, order])
    assert (GroupBootstrap.draw(groups, ids, seed=2).counts != drawn.counts).any()


def test_the_standard_error_is_that_of_scipy() -> None:
    """Of a mean, with samples as their own groups; both are off by the 2,000 draws."""
    values = np.random.default_rng(0).normal(size=40)
    drawn = GroupBootstrap.draw([""] * 40, [str(k) for k in range(40)], seed=3)
    mae = drawn.measure(lambda w: weighted_regression(w, values, np.zeros(40)))["mae"]
    seed = {"rng" if "rng" in inspect.signature(stats.bootstrap).parameters else "random_state": 1}  # before scipy 1.15
    expected = stats.bootstrap((np.abs(values),), np.mean, n_resamples=20_000, method="percentile", **seed)
    assert mae.std(ddof=1) == pytest.approx(expected.standard_error, rel=0.05)


def test_draws_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, ids = [f"g{k % 7}" for k in range(30)], [str(k) for k in range(30)]
    values = np.random.default_rng(1).normal(size=(2, 30))
    whole = GroupBootstrap.draw(groups, ids, 1)
    expected = whole.measure(lambda w: weighted_regression(w, *values))
    monkeypatch.setattr("aam_train.statistics.bootstrap._CELLS", 31)
    found = whole.measure(lambda w: weighted_regression(w, *values))
    for name, draws in expected.items():
        np.testing.assert_allclose(found[name], draws, rtol=1e-12)


def test_the_interval_of_a_mean_is_students() -> None:
    """With normal groups and the identity scale: value +- t times the standard error."""
    values = np.random.default_rng(2).normal(size=25)
    drawn = GroupBootstrap.draw([""] * 25, [str(k) for k in range(25)], seed=1)
    draws = drawn.counts @ values / 25
    size = SampleSize.of(drawn.group_of)
    found = interval_of("other", Sampled(float(values.mean()), draws), size)
    expected = stats.t.interval(0.95, 24, values.mean(), stats.sem(values))
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_a_constant_shifts_the_interval() -> None:
    random = np.random.default_rng(3)
    model, constant = Sampled(0.7, random.normal(0.7, 0.05, 2000)), Sampled(0.5, np.full(2000, 0.5))
    size = SampleSize(100, 50, 20.0)
    low, high = interval_of("auc", model, size)
    assert interval_of_difference("auc", model, constant, size) == (low - 0.5, high - 0.5)


def test_perfect_figures_of_few_groups_have_wide_intervals() -> None:
    perfect = Sampled(1.0, np.ones(2000))
    assert interval_of("auc", perfect, SampleSize(4, 4, 1.3)).low < 0.5
    assert 0.75 < interval_of("auc", perfect, SampleSize(40, 40, 37.0)).low < 0.9
    assert math.isnan(interval_of("auc", perfect, SampleSize(3, 3, 2.0)).low)


def test_a_rare_class_has_few_degrees_of_freedom() -> None:
    groups = np.arange(20)
    codes = (groups < 2).astype(np.int64)
    assert SampleSize.of(groups, codes).freedom < 3
    assert SampleSize.of(groups, (groups < 10).astype(np.int64)).freedom == 19
    assert SampleSize.of(np.arange(40) % 20, (np.arange(40) < 20).astype(np.int64)).freedom == 19  # both in each group
    assert SampleSize.of(groups, (groups < 1).astype(np.int64)).freedom == 0


STUDIES = 200


def grouped(random: np.random.Generator, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Groups of 1 to about 8 samples, and an effect of each group on its samples."""
    group_of = np.repeat(np.arange(n_groups), random.poisson(3, n_groups) + 1)
    return group_of, random.normal(0, 0.7, n_groups)[group_of]


def class_study(random: np.random.Generator, n_groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Groups, classes of whole groups, and the scores of two models whose errors are shared within groups."""
    group_of, effect = grouped(random, n_groups)
    positive = (random.random(n_groups) < 0.4)[group_of]
    first = 0.9 * positive + effect + random.normal(0, 0.7, len(group_of))
    second = 0.5 * positive + effect / 2 + random.normal(0, 0.7, len(group_of))
    return group_of, positive.astype(np.float64), first, second


def sampled_auc(drawn: GroupBootstrap, positive: np.ndarray, scores: np.ndarray) -> Sampled:
    value = float(weighted_auc(np.ones((1, len(scores))), positive, scores)[0])
    return Sampled(value, drawn.measure(lambda w: {"auc": weighted_auc(w, positive, scores)})["auc"])


@pytest.mark.parametrize("n_groups", [16, 50, 100])
def test_intervals_cover_the_truth(n_groups: int) -> None:
    """In 93 to 97 % of 200 studies; the 200 themselves allow for 3 % more or less (two standard errors)."""
    group_of, positive, first, second = class_study(np.random.default_rng(99), 200_000)
    one = np.ones((1, len(group_of)))
    area, other = (float(weighted_auc(one, positive, scores)[0]) for scores in (first, second))
    random, covered = np.random.default_rng(n_groups), np.zeros(2)
    for study in range(STUDIES):
        group_of, positive, first, second = class_study(random, n_groups)
        drawn = GroupBootstrap.draw([f"{g:03d}" for g in group_of], [""] * len(group_of), study, draws=500)
        pair = [sampled_auc(drawn, positive, scores) for scores in (first, second)]
        size = SampleSize.of(group_of, positive.astype(np.int64))
        low, high = interval_of("auc", pair[0], size)
        covered[0] += low <= area <= high
        low, high = interval_of_difference("auc", *pair, size)
        covered[1] += low <= area - other <= high
    assert (covered / STUDIES >= 0.92).all(), covered
    assert (covered / STUDIES <= 0.995).all(), covered


def test_models_that_have_learned_nothing_are_seldom_above_one_half() -> None:
    random, above = np.random.default_rng(0), 0
    for study in range(STUDIES):
        group_of, effect = grouped(random, int(random.integers(6, 40)))
        positive = (random.random(group_of.max() + 1) < random.uniform(0.1, 0.5))[group_of].astype(np.float64)
        drawn = GroupBootstrap.draw([f"{g:03d}" for g in group_of], [""] * len(group_of), study, draws=500)
        size = SampleSize.of(group_of, positive.astype(np.int64))
        above += interval_of("auc", sampled_auc(drawn, positive, effect), size).low > 0.5
    assert above / STUDIES <= 0.05, above
