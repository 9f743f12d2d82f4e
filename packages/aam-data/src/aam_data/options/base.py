"""Shared pieces of options: visible options, checks of values, and names of metrics. Standard library only.

Each field of an options class is one command line option: its name, type and default are declared here, and the
docstring under it is its help text.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

_T = TypeVar("_T")
Common = Annotated[_T, "common"]  # an option that `--help` shows; `--help-all` shows the others too
UnifracMetric = Literal["unifrac", "weighted", "weighted_unnormalized", "generalized"]
PhylogeneticTarget = Literal[UnifracMetric, "faith_pd", "combined"]
TransformKind = Literal["none", "minmax", "zscore", "zscore-category", "log-minmax", "log-zscore"]


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition is true."""
    if not condition:
        raise ValueError(message)


def check_alpha(alpha: float, metric: str) -> None:
    """Check the value of ``--unifrac-alpha`` and that the metric uses it."""
    require(0 <= alpha <= 1, f"--unifrac-alpha {alpha:g}: must be between 0 and 1")
    require(
        alpha == 1 or metric == "generalized",
        f"--unifrac-alpha only applies to --unifrac-metric generalized (got {metric})",
    )
