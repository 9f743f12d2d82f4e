"""What is proven about a model, in words: its main metric against each baseline.

A model that is not clearly better than the constant is not called better than anything else. So however many baselines
there are, a model that has learned nothing is called better than some of them as seldom as than the constant alone.
Needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from aam_train.options.baselines import BASELINES, CONSTANT
from aam_train.statistics.bootstrap import Bounds

FEW = 30  # groups below which the sentence says that they are few
_NAMES = {"auc": "AUC", "r2": "R2"}


class Contrast(NamedTuple):
    """A model against one baseline.

    Attributes:
        difference: model minus baseline, in the main metric.
        bounds: its 95 % interval.
        beats_constant: whether the baseline is clearly better than the constant.
    """

    difference: float
    bounds: Bounds
    beats_constant: bool = False

    def in_words(self, metric: str, *, sign: int = 1) -> str:
        """Return ``"0.04 AUC (0.01 to 0.07)"``; ``sign`` -1 for baseline minus model."""
        low, high = self.bounds if sign > 0 else (-self.bounds.high, -self.bounds.low)
        return f"{_plain(sign * self.difference)} {_NAMES[metric]} ({_plain(low)} to {_plain(high)})"


def verdict(
    target: str, metric: str, contrasts: Mapping[str, Contrast], n_groups: int, drawn: str, *, one_split: bool = True
) -> list[str]:
    """Put into words what is proven about a model on held-out samples.

    Args:
        target: name of the target.
        metric: the main metric, "auc" or "r2".
        contrasts: the model against each baseline; the constant is one of them.
        n_groups: number of groups that the intervals rest on.
        drawn: what these are, in the plural.
        one_split: whether a cross-validation would evaluate on more samples.

    Returns:
        Sentences; the first is about the constant.

    Example:
        >>> verdict("sex", "auc", {"constant": Contrast(0.17, Bounds(0.12, 0.22))}, 401, "groups")
        ['sex: better than the constant by 0.17 AUC (0.12 to 0.22)']
    """
    constant, others = contrasts[CONSTANT], {name: each for name, each in contrasts.items() if name != CONSTANT}
    if math.isnan(constant.bounds.low):
        return [f"{target}: nothing is proven, since {_number(n_groups, drawn)} are too few for an interval"]
    if constant.bounds.low > 0:
        better = f"{target}: better than the constant by {constant.in_words(metric)}"
        return [better, *(f"{target}: {_compare(metric, name, each)}" for name, each in others.items())]
    few = f"; {_number(n_groups, drawn)} are few" if n_groups < FEW else ""
    if constant.bounds.high < 0:
        first = f"{target}: worse than the constant by {constant.in_words(metric, sign=-1)}{few}"
    else:
        first = f"{target}: no clear difference from the constant: {constant.in_words(metric)}{few}"
    worse = [
        f"{target}: worse than {BASELINES[name].phrase} by {each.in_words(metric, sign=-1)}"
        for name, each in others.items()
        if each.bounds.high < 0
    ]
    return [first, *worse, f"{target}: {_advice(others, n_groups, one_split=one_split)}"]


def _compare(metric: str, name: str, contrast: Contrast) -> str:
    baseline = BASELINES[name].phrase
    if math.isnan(contrast.bounds.low):
        return f"not compared with {baseline}, whose {_NAMES[metric]} is undefined"
    if contrast.bounds.low > 0:
        return f"better than {baseline} by {contrast.in_words(metric)}"
    if contrast.bounds.high < 0:
        return f"worse than {baseline} by {contrast.in_words(metric, sign=-1)}"
    return f"no clear difference from {baseline}: {contrast.in_words(metric)}"


def _advice(others: Mapping[str, Contrast], n_groups: int, *, one_split: bool) -> str:
    """Say what to try with a model that is not clearly better than the constant."""
    able = [BASELINES[name].phrase for name, each in others.items() if each.beats_constant]
    if able:
        return (
            f"{' and '.join(able)} clearly beat{'s' if len(able) == 1 else ''} the constant, so there is something to "
            "learn: the other --adaptation (probe, fine-tune) or a --pretrained-encoder may find it"
        )
    if n_groups < FEW and one_split:
        return "try --cv, which evaluates on every sample"
    if not others:
        return "compare it with --baselines fast, which shows whether there is something to learn"
    return "no baseline is clearly better than the constant either: try more samples, or another target"


def _number(n_groups: int, drawn: str) -> str:
    return f"{n_groups:,} {drawn}"


def _plain(value: float) -> str:
    """Return two decimals, or as many as the first digit that is not 0 needs, up to four."""
    digits = 2 if abs(value) >= 0.01 or value == 0 else 3 if abs(value) >= 0.001 else 4
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text
