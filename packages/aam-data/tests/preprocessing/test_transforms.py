"""Target transforms compared with scikit-learn's scalers, their inverses and their saved form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from aam_data.errors import DataError
from aam_data.preprocessing.transforms import (
    TRANSFORMS,
    LogMinMax,
    LogZScore,
    MinMax,
    NoTransform,
    ZScore,
    fit_transform,
    transform_from_dict,
    transform_to_dict,
)

VALUES = np.array([3.5, np.nan, -2.0, 10.0, 3.5, np.nan])
NEW = np.array([[100.0, np.nan], [0.0, -7.25]])


@pytest.mark.parametrize(("kind", "scaler"), [("minmax", MinMaxScaler()), ("zscore", StandardScaler())])
def test_like_scikit_learn_also_outside_the_training_range(kind: str, scaler: MinMaxScaler | StandardScaler) -> None:
    transform = fit_transform(kind, VALUES, "y")
    scaler.fit(VALUES[:, None])
    np.testing.assert_allclose(transform.apply(NEW), scaler.transform(NEW.reshape(-1, 1)).reshape(2, 2))
    np.testing.assert_allclose(transform.invert(NEW), scaler.inverse_transform(NEW.reshape(-1, 1)).reshape(2, 2))


def test_known_values() -> None:
    assert fit_transform("none", VALUES, "y") == NoTransform()
    assert fit_transform("minmax", VALUES, "y") == MinMax(low=-2.0, high=10.0)
    z = fit_transform("zscore", np.array([1.0, 2.0, 3.0, np.nan]), "y")
    assert isinstance(z, ZScore)
    assert (z.mean, z.std) == (2.0, pytest.approx(np.sqrt(2 / 3)))
    np.testing.assert_array_equal(NoTransform().apply(VALUES), VALUES)


@pytest.mark.parametrize(("kind", "scaler"), [("log-minmax", MinMaxScaler()), ("log-zscore", StandardScaler())])
def test_logarithms_like_scikit_learn(kind: str, scaler: MinMaxScaler | StandardScaler) -> None:
    values, new = np.array([0.0, 1.0, -0.5, 1000.0, np.nan]), np.array([3.0, 1e6, -0.999])
    transform = fit_transform(kind, values, "y")
    scaler.fit(np.log1p(values[:4, None]))
    scaled = transform.apply(new)
    np.testing.assert_allclose(scaled, scaler.transform(np.log1p(new)[:, None])[:, 0])
    np.testing.assert_allclose(transform.invert(scaled), new)


def test_known_logarithms() -> None:
    e = np.e
    values = np.array([0.0, e - 1, e**3 - 1, np.nan])  # log(1 + y) = 0, 1, 3
    low_high = fit_transform("log-minmax", values, "y")
    assert isinstance(low_high, LogMinMax)
    assert (low_high.low, low_high.high) == (0.0, pytest.approx(3.0))
    np.testing.assert_allclose(low_high.apply(values), [0, 1 / 3, 1, np.nan])
    mean_std = fit_transform("log-zscore", values, "y")
    assert isinstance(mean_std, LogZScore)
    assert (mean_std.mean, mean_std.std) == (pytest.approx(4 / 3), pytest.approx(np.sqrt(14) / 3))
    np.testing.assert_allclose(mean_std.invert(np.array([0.0])), [np.exp(4 / 3) - 1])


def test_inversion_clips_nothing() -> None:
    transform = LogMinMax(low=0.0, high=1.0)
    np.testing.assert_allclose(transform.invert(np.array([2.0, -1.0])), [np.e**2 - 1, 1 / np.e - 1])
    assert transform.invert(np.array([1000.0, -1000.0])).tolist() == [np.inf, -1.0]
    assert MinMax(0.0, 10.0).invert(np.array([-0.5, 1.5])).tolist() == [-5.0, 15.0]


@pytest.mark.parametrize("kind", ["log-minmax", "log-zscore"])
def test_values_without_a_logarithm_are_rejected(kind: str) -> None:
    message = (
        rf"metadata.tsv: column y: --target-transform {kind} takes log.*\(-1.0, -2.0, -3.0, -4.0, -5.0 and 2 more\)"
    )
    with pytest.raises(DataError, match=message):
        fit_transform(kind, np.array([5.0, -1, -2, -3, -4, -5, np.nan, -6, -7, -0.5]), "y", Path("metadata.tsv"))


@given(
    st.sampled_from(list(TRANSFORMS)),
    st.lists(st.floats(-0.99, 1e6), min_size=2, max_size=20).filter(lambda v: max(v) - min(v) > 1e-3),
    st.lists(st.floats(-0.99, 1e7), max_size=20),
)
def test_invert_undoes_apply_and_saving_keeps_every_bit(kind: str, values: list[float], new: list[float]) -> None:
    transform = fit_transform(kind, np.array(values), "y")
    every = np.array([*values, *new, np.nan])
    np.testing.assert_allclose(transform.invert(transform.apply(every)), every, rtol=1e-9, atol=1e-7)
    text = json.dumps(transform_to_dict(transform), allow_nan=False)
    assert transform_from_dict(json.loads(text)) == transform


@pytest.mark.parametrize("kind", list(TRANSFORMS))
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([4.0, np.nan, 4.0], "column y: all 2 training samples have the value 4, so there is nothing to learn"),
        ([np.nan, 4.0], "only 1 training sample has a value.*--test-size, --val-size, --calibration-size"),
        ([np.nan, np.nan], "column y: no training sample has a value"),
        ([1e-320, 2e-320, 1e-320], r"column y: values that differ by less than 1e-30 .*\(1e-320, 2e-320\)"),
        ([1.0, np.inf, -np.inf, np.inf], r"column y: values beyond 1e\+30 cannot be learned \(inf, -inf\)"),
    ],
)
def test_targets_that_teach_nothing_are_rejected(kind: str, values: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_transform(kind, np.array(values), "y")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "unknown transform None"),
        ({"kind": "log"}, r"transform: unknown transform 'log' \(none, minmax, zscore, log-minmax, log-zscore\)"),
        ({"kind": "minmax", "low": 0.0}, r"missing keys \(high\)"),
        ({"kind": "none", "low": 0.0}, r"unknown keys \(low\)"),
        ({"kind": "zscore", "mean": "0", "std": True}, r"values of a wrong type \(mean, std\)"),
        ({"kind": "zscore", "mean": float("nan"), "std": float("inf")}, r"wrong type \(mean, std\)"),
    ],
)
def test_other_saved_forms_are_rejected(values: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        transform_from_dict(values)


def test_a_whole_number_in_json_is_read_as_a_float() -> None:
    transform = transform_from_dict(json.loads('{"kind": "minmax", "low": 0, "high": 2}'))
    assert transform == MinMax(0.0, 2.0)
    assert isinstance(transform.low, float)
