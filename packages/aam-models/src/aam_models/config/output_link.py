"""What stands between a head's outputs and predictions: options and configuration. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam_models.config.limits import MOST_COLUMNS, require, split_columns

ACTIVATIONS = ("none", "relu", "softplus", "exp")


@dataclass(frozen=True)
class OutputOptions:
    """How outputs become predictions."""

    output_activation: Literal["none", "relu", "softplus", "exp"] = "none"
    """Keep numeric predictions at 0 or above, in the column's own units: relu (may be exactly 0), softplus, exp
    (effects multiply)."""
    bounded_targets: bool = False
    """Keep numeric predictions within the range of the training values (by a sigmoid)."""
    learnable_output_scale: bool = False
    """Learn a scale and a bias of each numeric target after the head."""
    conditional_output_scaling: tuple[str, ...] = ()
    """Metadata columns, as in `location,season`: learn a scale (from 1) and a bias (from 0) for each of their
    categories, one column after the other. Prediction needs these columns too."""

    def __post_init__(self) -> None:
        require(
            not self.bounded_targets or self.output_activation == "none",
            f"--bounded-targets and --output-activation {self.output_activation} exclude each other: bounds are an "
            "activation of their own. Give one of them",
        )
        self.scaling_columns()

    def scaling_columns(self) -> tuple[str, ...]:
        """The columns of --conditional-output-scaling, one by one."""
        return split_columns("--conditional-output-scaling", self.conditional_output_scaling)

    def given(self) -> list[str]:
        """The flags of what is not as by default."""
        flags = {
            f"--output-activation {self.output_activation}": self.output_activation != "none",
            "--bounded-targets": self.bounded_targets,
            "--learnable-output-scale": self.learnable_output_scale,
            "--conditional-output-scaling": bool(self.conditional_output_scaling),
        }
        return [flag for flag, is_given in flags.items() if is_given]


@dataclass(frozen=True)
class LinkConfig:
    """What stands between a head's outputs and transformed units.

    Attributes:
        learned_scale: whether each target has a learned scale and bias.
        scaling_columns: places of the categorical columns whose categories have a scale and a bias.
        activation: "none", "relu", "softplus" or "exp".
        floors: of each target what the activation stays above, in transformed units; empty without an activation.
        bounded: whether predictions stay between ``low`` and ``high``.
        low, high: of each target, in transformed units; empty when not bounded.
    """

    learned_scale: bool = False
    scaling_columns: tuple[int, ...] = ()
    activation: str = "none"
    floors: tuple[float, ...] = ()
    bounded: bool = False
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require(self.activation in ACTIVATIONS, f"activation {self.activation!r}: must be one of {ACTIVATIONS}")
        require(not (self.bounded and self.activation != "none"), f"bounded and activation {self.activation}")
        require(bool(self.floors) == (self.activation != "none"), f"floors {self.floors} of {self.activation}")
        require(bool(self.low) == self.bounded and len(self.low) == len(self.high), f"bounds {self.low} to {self.high}")
        ascend = all(a < b for a, b in zip(self.low, self.high, strict=True))
        require(ascend, f"bounds {self.low} that are not below {self.high}")
        require(len(self.scaling_columns) <= MOST_COLUMNS, f"{len(self.scaling_columns)} scaling_columns")

    def is_identity(self) -> bool:
        """Whether outputs stay as they are."""
        return self == LinkConfig()
