"""Metrics compared with scikit-learn and computation by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from aam_data.preprocessing.class_labels import ClassLabels
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.target import FittedTarget, TargetSpec
from aam_data.preprocessing.transforms import MinMax, NoTransform
from aam_train.data.run_data import sample_for_pairs
from aam_train.evaluation.metrics import (
    classification_metrics,
    mean_absolute_error,
    mean_of_defined,
    mean_squared_error,
    pearson,
    regression_metrics,
)
from aam_train.evaluation.validation import probabilities, target_metrics
from aam_train.objectives.registry import OBJECTIVES
from aam_train.options.metrics import HIGHER_IS_BETTER, METRICS, metric_names


def preprocessor_of(*targets: FittedTarget) -> Preprocessor:
    return Preprocessor(150, 0, 0, 42, 1024, targets)


def test_regression() -> None:
    truth, prediction = np.array([1.0, 2.0, 4.0, 5.0]), np.array([1.5, 2.0, 3.0, 7.0])
    found = regression_metrics(truth, prediction)
    assert found["mae"] == pytest.approx((0.5 + 0 + 1 + 2) / 4)
    assert found["rmse"] == pytest.approx(math.sqrt((0.25 + 0 + 1 + 4) / 4))
    assert found["r2"] == pytest.approx(1 - 5.25 / 10)  # squares around the mean of 3: 4 + 1 + 1 + 4
    assert found["pearson_r"] == pytest.approx(np.corrcoef(truth, prediction)[0, 1])


def test_classification_against_scikit_learn() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 60)
    shares = random.dirichlet([1, 1, 1], 60)
    found = classification_metrics(truth, shares)
    prediction = shares.argmax(axis=1)
    assert found["accuracy"] == sk.accuracy_score(truth, prediction)
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(truth, prediction))
    assert found["f1"] == pytest.approx(sk.f1_score(truth, prediction, average="macro"))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(truth, shares, multi_class="ovr", average="macro"))


def test_auc_of_two_classes() -> None:
    truth = np.array([0, 0, 1, 1])
    shares = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8]])
    assert classification_metrics(truth, shares)["auc"] == 0.75  # 3 of 4 pairs are in order


def test_auc_leaves_out_classes_without_members() -> None:
    truth = np.array([0, 0, 1, 1])
    shares = np.array([[0.8, 0.1, 0.1], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7]])
    one, other = (sk.roc_auc_score(truth == code, shares[:, code]) for code in (0, 1))
    assert classification_metrics(truth, shares)["auc"] == pytest.approx((one + other) / 2)


def test_what_is_undefined_is_nan() -> None:
    empty = np.zeros(0)
    assert all(math.isnan(value) for value in regression_metrics(empty, empty).values())
    assert all(math.isnan(value) for value in classification_metrics(empty, np.zeros((0, 2))).values())
    one = regression_metrics(np.array([1.0]), np.array([3.0]))
    assert (one["mae"], one["rmse"]) == (2, 2)
    assert math.isnan(one["r2"])
    assert math.isnan(one["pearson_r"])
    single_class = classification_metrics(np.array([1, 1]), np.array([[0.4, 0.6], [0.6, 0.4]]))
    assert single_class["accuracy"] == 0.5
    assert math.isnan(single_class["auc"])
    assert math.isnan(pearson(np.ones(3), np.arange(3)))
    assert math.isnan(mean_absolute_error(empty, 0.5))
    assert math.isnan(mean_squared_error(empty, empty))
    assert math.isnan(mean_of_defined([math.nan]))
    assert mean_of_defined([1.0, math.nan, 2.0]) == 1.5


def test_targets_are_evaluated_in_their_own_units() -> None:
    target = FittedTarget(TargetSpec("y", "regression", 1), transform=MinMax(10.0, 30.0))
    targets, outputs = np.float32([[0.0], [np.nan], [1.0]]), np.float32([[0.1], [9.0], [0.5]])
    found = target_metrics(preprocessor_of(target), targets, outputs)
    assert found["mae"] == pytest.approx((2 + 10) / 2, rel=1e-6)
    assert set(found) == {"r2", "mae", "rmse", "pearson_r"}


def test_several_targets_have_means_and_their_own_metrics() -> None:
    first, second = (FittedTarget(TargetSpec(name, "regression", 1), transform=NoTransform()) for name in "ab")
    targets = np.array([[0.0, np.nan], [1.0, np.nan], [2.0, 5.0]])
    outputs = np.array([[0.5, 0.0], [1.0, 0.0], [2.0, 4.0]])
    found = target_metrics(preprocessor_of(first, second), targets, outputs)
    assert (found["mae:a"], found["mae:b"]) == (pytest.approx(0.5 / 3), 1)
    assert found["mae"] == pytest.approx((0.5 / 3 + 1) / 2)
    assert math.isnan(found["r2:b"])
    assert found["r2"] == found["r2:a"]


def test_classes_are_evaluated_by_probabilities() -> None:
    labels = ClassLabels(("no", "yes"))
    target = FittedTarget(TargetSpec("y", "classification", 2), labels=labels)
    logits = np.float32([[2.0, 0.0], [0.0, 1.0], [5.0, -5.0]])
    found = target_metrics(preprocessor_of(target), np.array([[0.0], [1.0], [np.nan]]), logits)
    assert found == {"accuracy": 1, "balanced_accuracy": 1, "f1": 1, "auc": 1}
    np.testing.assert_allclose(probabilities(logits)[0], [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))])


def test_every_metric_has_a_direction() -> None:
    assert {name for name, higher in HIGHER_IS_BETTER.items() if not higher} == {
        "val_loss",
        "mae",
        "unifrac_mae",
        "faith_pd_mae",
        "count_mse",
    }


def test_every_metric_of_the_table_is_computed() -> None:
    assert set(metric_names("number")) <= regression_metrics(np.arange(3.0), np.arange(3.0)).keys()
    assert metric_names("class") == tuple(classification_metrics(np.array([0, 1]), np.eye(2)))
    assert {metric.objective for metric in METRICS.values() if metric.kind == "encoder"} == OBJECTIVES.keys()


def test_pairs_of_many_samples_are_a_fixed_subset() -> None:
    assert sample_for_pairs(7).tolist() == list(range(7))
    chosen = sample_for_pairs(5000)
    assert len(set(chosen.tolist())) == 2000
    assert chosen.tolist() == sample_for_pairs(5000).tolist() == sorted(chosen.tolist())
