"""The baselines of a split: what they read, what they need, and their predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from aam_data.options.samples import SampleOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import FIXED_DRAW, Rarefier
from aam_data.splits.strata import group_codes
from aam_data.study.study import Study
from aam_data.unifrac.pair_targets import TreeTargets
from aam_train.baselines import gradient_boosting, kernel
from aam_train.baselines.linear import PSEUDOCOUNT, ClrLinear
from aam_train.baselines.protocol import BaselineData, counts_matrix
from aam_train.baselines.random_forest import ForestOptions
from aam_train.baselines.registry import compute_baselines
from aam_train.options.baselines import BASELINES, chosen_baselines, is_named

OPTIONS = ForestOptions(seed=1, trees=5, jobs=1)
Data = Callable[..., BaselineData]


@pytest.fixture
def data_of(study: Study) -> Data:
    def make(target: TargetOptions) -> BaselineData:
        rows = {"train": np.arange(14), "validation": np.arange(14, 18), "test": np.arange(18, 24)}
        preprocessor = Preprocessor.fit(
            study, rows["train"], SampleOptions(max_bp=40), trim_length=0, rarefy_depth=100, seed=1, target=target
        )
        assert study.metadata is not None
        assert study.phylogeny is not None
        targets = preprocessor.targets_of(study.metadata, unseen="missing")
        rarefier = Rarefier(study.table, 100, 1)
        groups = group_codes(study.metadata.text("host"))
        pairs = TreeTargets(study.phylogeny, rarefier)
        return BaselineData(preprocessor, rows, rarefier, None, targets, groups, pairs)

    return make


@pytest.mark.parametrize("classifier", [False, True])
def test_every_baseline_predicts_the_held_out_samples(data_of: Data, classifier: bool) -> None:
    data = data_of(TargetOptions(("status" if classifier else "degree_days",), classifier=classifier))
    found = compute_baselines(data, OPTIONS, list(BASELINES))
    expected = {"constant", "random_forest", "clr_linear", "unifrac_kernel"}
    assert found.outputs.keys() - {"lightgbm"} == expected  # the model reads no metadata
    assert found.left_out == {}
    for outputs in found.outputs.values():
        assert outputs.shape == (6, 2 if classifier else 1)
        assert np.isfinite(outputs).all()
        if classifier:
            np.testing.assert_allclose(outputs.sum(axis=1), 1)
    assert found.importance is not None
    assert found.importance.sum() == pytest.approx(1)


def test_what_is_lacking_is_said_where_it_was_asked_for(data_of: Data) -> None:
    data = replace(data_of(TargetOptions(("degree_days",))), pairs=None)
    names = ("constant", "unifrac_kernel", "metadata_forest")
    assert compute_baselines(data, OPTIONS, names).left_out == {}
    found = compute_baselines(data, OPTIONS, names, ["unifrac_kernel", "metadata_forest"])
    assert found.left_out == {
        "unifrac_kernel": "it needs --tree or --unifrac-matrix",
        "metadata_forest": "the model reads no metadata",
    }


def test_kernels_that_do_not_fit_in_memory_are_left_out(data_of: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "MAX_MEMORY_SHARE", 0.0)
    found = compute_baselines(data_of(TargetOptions(("degree_days",))), OPTIONS, ("constant", "clr_linear"))
    assert list(found.outputs) == ["constant"]
    assert found.left_out["clr_linear"].startswith("the products of 18 samples need about")


def test_the_linear_model_is_ridge_on_centred_log_ratios(data_of: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "STRENGTHS", np.array([0.1]))
    data = data_of(TargetOptions(("degree_days",)))
    found = ClrLinear(1).fit(data, data.learned).predict(data.rows["test"])
    rows = np.concatenate([data.learned, data.rows["test"]])
    logs = np.log(counts_matrix(data.rarefier, rows).toarray() + PSEUDOCOUNT)
    x = logs - logs.mean(axis=1, keepdims=True)
    x -= x[:18].mean(axis=0)
    x /= np.sqrt(np.square(x[:18]).sum() / 18)
    expected = Ridge(alpha=0.1 * 18).fit(x[:18], data.targets[data.learned, 0]).predict(x[18:])
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)


def test_samples_without_a_target_teach_nothing(data_of: Data) -> None:
    data = data_of(TargetOptions(("degree_days",)))
    targets = data.targets.copy()
    targets[3:7] = np.nan
    without = replace(data, targets=targets)
    fewer = replace(data, rows={**data.rows, "train": np.r_[0:3, 7:14]})
    for name in ("constant", "clr_linear", "unifrac_kernel"):
        one, other = (compute_baselines(each, OPTIONS, (name,)).outputs[name] for each in (without, fewer))
        np.testing.assert_allclose(one, other, rtol=1e-8, err_msg=name)


def test_distances_that_are_missing_count_as_the_farthest(data_of: Data) -> None:
    class Holes:
        def __init__(self, pairs: Any) -> None:
            self.within = pairs

        def pairs(self, rows: np.ndarray, columns: np.ndarray, draw: int) -> np.ndarray:
            distances = self.within.pairs(rows, columns, draw).copy()
            distances[rows == 2, :] = np.nan
            distances[:, columns == 2] = np.nan
            return distances

        def values(self, rows: np.ndarray, draw: int) -> np.ndarray:
            raise NotImplementedError

    data = data_of(TargetOptions(("degree_days",)))
    found = compute_baselines(replace(data, pairs=Holes(data.pairs)), OPTIONS, ("unifrac_kernel",))
    assert np.isfinite(found.outputs["unifrac_kernel"]).all()
    assert np.isfinite(data.pairs.pairs(data.learned, data.learned, FIXED_DRAW)).all()  # type: ignore[union-attr]


def test_lightgbm_says_how_to_install_it(data_of: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_boosting, "find_spec", lambda name: None)
    data = data_of(TargetOptions(("degree_days",)))
    found = compute_baselines(data, OPTIONS, ("constant", "lightgbm"), ["lightgbm"])
    assert found.left_out == {"lightgbm": "LightGBM is not installed: pip install 'aam-train[lightgbm]'"}


def test_lightgbm(data_of: Data) -> None:
    pytest.importorskip("lightgbm")
    data = data_of(TargetOptions(("status",), classifier=True))
    one, other = (compute_baselines(data, OPTIONS, ("lightgbm",)).outputs["lightgbm"] for _ in range(2))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(one.sum(axis=1), 1)


def test_names_on_the_command_line() -> None:
    assert chosen_baselines("none") == ("constant",)
    assert chosen_baselines("fast") == tuple(name for name in BASELINES if name != "lightgbm")
    assert chosen_baselines("all") == tuple(BASELINES)
    assert chosen_baselines("lightgbm, random_forest") == ("constant", "random_forest", "lightgbm")
    assert is_named("lightgbm,random_forest", "lightgbm")
    assert not is_named("all", "lightgbm")
    with pytest.raises(ValueError, match=r"--baselines forest: 'forest' is none of none, fast, all, constant, random_"):
        chosen_baselines("forest")
