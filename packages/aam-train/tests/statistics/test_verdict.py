"""The verdict in words."""

from __future__ import annotations

import math

from aam_train.statistics.bootstrap import Bounds
from aam_train.statistics.verdict import Contrast, verdict


def test_a_model_that_is_better() -> None:
    contrasts = {
        "constant": Contrast(0.17, Bounds(0.12, 0.22)),
        "random_forest": Contrast(0.04, Bounds(0.01, 0.07)),
        "clr_linear": Contrast(0.012, Bounds(-0.004, 0.03)),
        "unifrac_kernel": Contrast(-0.05, Bounds(-0.09, -0.01)),
    }
    assert verdict("sex", "auc", contrasts, 401, "groups") == [
        "sex: better than the constant by 0.17 AUC (0.12 to 0.22)",
        "sex: better than the random forest by 0.04 AUC (0.01 to 0.07)",
        "sex: no clear difference from the linear model on log-ratios: 0.01 AUC (-0.004 to 0.03)",
        "sex: worse than the UniFrac kernel by 0.05 AUC (0.01 to 0.09)",
    ]


def test_a_model_that_is_not_better_than_the_constant_is_better_than_nothing() -> None:
    contrasts = {
        "constant": Contrast(0.02, Bounds(-0.03, 0.07)),
        "random_forest": Contrast(0.04, Bounds(0.01, 0.07)),
        "clr_linear": Contrast(-0.2, Bounds(-0.3, -0.1), beats_constant=True),
    }
    assert verdict("ibd", "auc", contrasts, 16, "groups") == [
        "ibd: no clear difference from the constant: 0.02 AUC (-0.03 to 0.07); 16 groups are few",
        "ibd: worse than the linear model on log-ratios by 0.20 AUC (0.10 to 0.30)",
        "ibd: the linear model on log-ratios clearly beats the constant, so there is something to learn: "
        "the other --adaptation (probe, fine-tune) or a --pretrained-encoder may find it",
    ]


def test_what_to_try() -> None:
    nothing = {"constant": Contrast(-0.02, Bounds(-0.03, -0.01)), "random_forest": Contrast(0.0, Bounds(-0.1, 0.1))}
    first, advice = verdict("age", "r2", nothing, 300, "samples")
    assert first == "age: worse than the constant by 0.02 R2 (0.01 to 0.03)"
    assert "no baseline is clearly better than the constant either" in advice
    assert "--cv" in verdict("age", "r2", nothing, 12, "samples")[1]
    assert "--cv" not in verdict("age", "r2", nothing, 12, "samples", one_split=False)[1]
    assert "--baselines fast" in verdict("age", "r2", {"constant": nothing["constant"]}, 300, "samples")[1]


def test_too_few_groups_prove_nothing() -> None:
    undefined = {"constant": Contrast(0.5, Bounds(math.nan, math.nan))}
    assert verdict("age", "r2", undefined, 2, "groups") == [
        "age: nothing is proven, since 2 groups are too few for an interval"
    ]
