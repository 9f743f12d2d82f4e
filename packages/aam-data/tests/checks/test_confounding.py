"""Prediction of a target from a column or the number of reads, compared with hand computations and scikit-learn."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from aam_data.checks.confounding import association, explained_by


def test_means_of_other_samples_by_hand() -> None:
    """Groups (1, 3) and (10, 20), and a lone 5: predicted from the others as 3, 1, 20, 10, and 7.8 overall."""
    target = np.array([1.0, 3, 10, 20, 5])
    groups = np.array([0, 0, 1, 1, 2])
    squares = 4 + 4 + 100 + 100 + 2.8**2
    total = ((target - 7.8) ** 2).sum()
    assert explained_by(target, groups, np.arange(5)) == pytest.approx(1 - squares / total)


def test_classes_of_other_samples_by_hand() -> None:
    """In the first group three of four are right, in the second both are wrong; guessing 0 is wrong twice."""
    target = np.array([0, 0, 0, 1, 0, 1])
    groups = np.array([0, 0, 0, 0, 1, 1])
    assert explained_by(target, groups, np.arange(6)) == pytest.approx(1 - 3 / 2)


def test_samples_of_one_host_do_not_predict_each_other() -> None:
    """Each host is on one plate: plate explains the target, unless it is predicted from other hosts."""
    host = np.repeat(np.arange(6), 5)
    target = host // 2 * 10.0 + np.tile(np.arange(5), 6) / 10
    plate = host // 2
    assert explained_by(target, plate, np.arange(30)) > 0.99
    assert explained_by(target, host, host) == 0  # nobody else is in the group: the mean of all
    assert explained_by(target, plate, host) > 0.99  # the other host of the plate is like it
    shuffled = np.array([0.0, 30, 10, 0, 20, 10])[host]
    assert explained_by(shuffled, plate, np.arange(30)) > 0
    assert explained_by(shuffled, plate, host) < 0


def test_perfect_and_constant() -> None:
    groups = np.repeat([0, 1], 4)
    assert explained_by(groups.copy(), groups, np.arange(8)) == 1
    assert np.isnan(explained_by(np.zeros(8), groups, np.arange(8)))
    assert np.isnan(explained_by(np.zeros(8, dtype=np.int64), groups, np.arange(8)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60), st.booleans())
def test_groups_at_random_explain_nothing_however_many_they_are(seed: int, n_groups: int, numbers: bool) -> None:
    random = np.random.default_rng(seed)
    groups = random.integers(0, n_groups, 120)
    target = random.normal(size=120) if numbers else random.integers(0, 2, 120)
    assert explained_by(target, groups, np.arange(120)) < 0.45


@pytest.mark.parametrize("n_classes", [2, 3])
def test_auc_like_scikit_learn(n_classes: int) -> None:
    random = np.random.default_rng(4)
    target = random.integers(0, n_classes, 80)
    number = np.round(random.normal(size=80) + (target == 1) * 1.2, 1)  # with ties
    found = association(number, target, ["a", "b", "c"][:n_classes])
    assert found is not None
    wanted = [roc_auc_score(target == code, number) for code in range(n_classes)]
    best = int(np.argmax(np.abs(np.array(wanted) - 0.5)))
    assert (found.measure, found.class_name) == ("AUC", "abc"[best])
    assert found.value == pytest.approx(wanted[best])
    assert found.strength == pytest.approx(abs(2 * wanted[best] - 1))
    assert found.medians == (np.median(number[target == best]), np.median(number[target != best]))
    test = mannwhitneyu(number[target == best], number[target != best], method="asymptotic")
    assert found.p_value == pytest.approx(test.pvalue * (n_classes if n_classes > 2 else 1))
    assert 0 < found.p_value < 0.001


def test_rank_correlation() -> None:
    random = np.random.default_rng(5)
    target = random.normal(size=50)
    number = np.exp(-target) + random.random(50)
    found = association(number, target)
    assert found is not None
    assert found.measure == "Spearman"
    assert found.value == pytest.approx(np.corrcoef(rankdata(number), rankdata(target))[0, 1])
    assert found.strength == -found.value > 0.5
    assert found.p_value == pytest.approx(spearmanr(number, target).pvalue)
    perfect = association(target, target)
    assert perfect is not None
    assert perfect.value == pytest.approx(1)
    assert perfect.p_value == pytest.approx(0, abs=1e-12)


def test_a_rare_class_does_not_hide_a_common_one() -> None:
    """Two samples of the most reads have an AUC of 1, which is chance; those of the two others are not."""
    random = np.random.default_rng(0)
    target = np.repeat([0, 1, 2], [60, 60, 2])
    number = np.concatenate([random.normal(10_000, 1500, 60), random.normal(5000, 1500, 60), [30_000, 31_000]])
    assert mannwhitneyu(number[-2:], number[:-2], method="asymptotic").pvalue > 0.01
    found = association(number, target, ["a", "b", "rare"])
    assert found is not None
    assert found.class_name == "b"
    assert found.strength > 0.95
    assert found.p_value < 1e-15


def test_what_may_be_chance_is_nothing() -> None:
    """The best of 50 classes of noise has p < 0.02; a rank correlation of 8 values has p = 0.01."""
    random = np.random.default_rng(1)
    target = np.repeat(np.arange(50), 4)
    assert association(random.normal(size=200), target, [f"c{k}" for k in range(50)]) is None
    number, values = np.arange(8.0), np.array([1.0, 0, 3, 2, 5, 7, 4, 6])
    assert 0.001 < spearmanr(number, values).pvalue < 0.05
    assert association(number, values) is None


def test_many_classes_take_little_memory() -> None:
    """Only the 200 most frequent of 20,000 classes count: 150 of 40 samples, explained by groups, and 50 singles."""
    target = np.concatenate([np.repeat(np.arange(150), 40), np.arange(150, 20_000)])
    groups = np.concatenate([np.repeat(np.arange(150), 40), np.full(19_850, 200)])
    tracemalloc.start()
    try:
        explained = explained_by(target, groups, np.arange(len(target)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert explained == pytest.approx(1 - 50 / (6050 - 40))  # each of 50 singles is taken for another of its group
    assert peak < 20e6


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 8))
def test_classes_one_sample_after_the_other(seed: int, n_classes: int) -> None:
    """Against a loop in which every sample counts the classes of those it is predicted from."""
    random = np.random.default_rng(seed)
    target, groups, hosts = (random.integers(0, n, 40) for n in (n_classes, 6, 15))
    frequent = int(np.bincount(target).argmax())
    right = 0
    for row in range(40):
        others = target[(groups == groups[row]) & (hosts != hosts[row])]
        right += int((np.bincount(others).argmax() if len(others) else frequent) == target[row])
    guessing = int((target != frequent).sum())
    assert explained_by(target, groups, hosts) == pytest.approx(1 - (40 - right) / guessing)


def test_nothing_to_compare() -> None:
    assert association(np.full(30, 1000.0), np.arange(30.0)) is None
    assert association(np.arange(30.0), np.zeros(30)) is None
