"""Names of the baselines. Standard library only.

This table is the only list of their names. A new baseline needs its entry here, a module with its class in
`aam_train.baselines`, and its line in `aam_train.baselines.registry`.
"""

from __future__ import annotations

from typing import NamedTuple

from aam_data.options.base import require


class BaselineName(NamedTuple):
    """A baseline as options and reports name it.

    Attributes:
        words: its name in reports.
        phrase: the same within a sentence.
        is_fast: whether it is part of ``--baselines fast``.
    """

    words: str
    phrase: str
    is_fast: bool = True


BASELINES = {
    "constant": BaselineName("constant", "the constant"),
    "random_forest": BaselineName("random forest", "the random forest"),
    "clr_linear": BaselineName("CLR linear", "the linear model on log-ratios"),
    "unifrac_kernel": BaselineName("UniFrac kernel", "the UniFrac kernel"),
    "metadata_forest": BaselineName("metadata alone", "the metadata alone"),
    "lightgbm": BaselineName("LightGBM", "LightGBM", is_fast=False),
}
CONSTANT = "constant"  # part of every comparison: without it no figure means anything
MODEL_NAMES = {"aam": "AAM"} | {name: baseline.words for name, baseline in BASELINES.items()}


def chosen_baselines(value: str) -> tuple[str, ...]:
    """Return the names that ``--baselines`` asks for, in the order of the table; the constant is always among them.

    Raises:
        ValueError: a name is unknown.

    Example:
        >>> chosen_baselines("random_forest")
        ('constant', 'random_forest')
    """
    if value in ("none", "fast", "all"):
        wanted = {name for name, each in BASELINES.items() if value == "all" or (value == "fast" and each.is_fast)}
    else:
        wanted = {name.strip() for name in value.split(",")}
        for name in sorted(wanted - BASELINES.keys()):
            require(False, f"--baselines {value}: {name!r} is none of none, fast, all, {', '.join(BASELINES)}")
    return tuple(name for name in BASELINES if name == CONSTANT or name in wanted)


def is_named(value: str, name: str) -> bool:
    """Return whether ``--baselines`` asks for a baseline by its own name."""
    return value not in ("none", "fast", "all") and name in chosen_baselines(value)
