"""The baselines by name, and their predictions of the held-out samples. Needs no torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from aam_train.baselines.constant import Constant
from aam_train.baselines.gradient_boosting import GradientBoosting
from aam_train.baselines.linear import ClrLinear
from aam_train.baselines.protocol import Baseline, BaselineData
from aam_train.baselines.random_forest import FittedForests, ForestOptions, MetadataForest, RandomForest
from aam_train.baselines.unifrac_kernel import UnifracKernel
from aam_train.options.baselines import BASELINES

REGISTRY: dict[str, Callable[[ForestOptions], Baseline]] = {
    "constant": lambda options: Constant(),
    "random_forest": RandomForest,
    "clr_linear": lambda options: ClrLinear(options.seed),
    "unifrac_kernel": lambda options: UnifracKernel(options.seed),
    "metadata_forest": MetadataForest,
    "lightgbm": lambda options: GradientBoosting(options.seed),
}
assert REGISTRY.keys() == BASELINES.keys()


@dataclass(frozen=True, eq=False)
class Baselines:
    """Predictions of the test samples.

    Attributes:
        outputs: by baseline, float [R, T] transformed values, or [R, K] class probabilities.
        left_out: reason for each baseline that was not computed.
        importance: float64 [A] importance of each feature of the random forest, the mean over targets; None without it.
        seconds: that each baseline took.
    """

    outputs: dict[str, np.ndarray]
    left_out: dict[str, str] = field(default_factory=dict)
    importance: np.ndarray | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def compute_baselines(
    data: BaselineData, options: ForestOptions, names: Sequence[str], required: Sequence[str] = ()
) -> Baselines:
    """Predict the test samples with baselines; one that does not fit in memory is left out.

    Args:
        data: a split of a study.
        options: of the forest, and the random seed of all baselines.
        names: of the baselines, see `BASELINES`.
        required: those that were asked for by name: one that lacks something is reported as left out.
    """
    found = Baselines({})
    importance = None
    for name in names:
        baseline = REGISTRY[name](options)
        if lack := baseline.lacks(data):
            found.left_out.update({name: lack} if name in required else {})
            continue
        if reason := baseline.too_large(data):
            found.left_out[name] = reason
            continue
        start = time.monotonic()
        fitted = baseline.fit(data, data.learned)
        found.outputs[name] = fitted.predict(data.rows["test"])
        found.seconds[name] = time.monotonic() - start
        if name == "random_forest" and isinstance(fitted, FittedForests):
            importance = fitted.importance
    return Baselines(found.outputs, found.left_out, importance, found.seconds)
