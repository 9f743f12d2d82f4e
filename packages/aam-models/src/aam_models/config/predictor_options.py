"""Options of a predictor's head and outputs. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aam_models.config.limits import (
    MAX_EXPERTS,
    MAX_LAYERS,
    MAX_WIDTH,
    require,
    split_columns,
)

OutputActivation = Literal["none", "relu", "softplus", "exp"]
_BALANCE = 0.01


@dataclass(frozen=True)
class HeadOptions:
    """The head that maps a sample embedding to the target."""

    regressor_hidden_dims: tuple[int, ...] = ()
    """Widths of the head's hidden layers, like 64,32; default: one linear layer."""
    regressor_dropout: float = 0.0
    """Dropout in the head's hidden layers."""
    residual_regression_head: bool = False
    """Add a linear head to the one with hidden layers, which then starts at zero."""
    film_conditioning: tuple[str, ...] = ()
    """Metadata columns, as in `location,season`, whose categories scale and shift each hidden layer (FiLM). Prediction
    needs these columns too."""
    moe_experts: int | None = None
    """Number of heads in a mixture of experts; the other options describe each of them. Needs --moe-routing."""
    moe_routing: str | None = None
    """Metadata column whose category sets the share of each expert in a sample. Prediction needs this column too."""
    moe_balance: float = _BALANCE
    """Weight of the loss that keeps experts in use: K times the sum of squares of their mean shares, minus 1."""
    target_layer_norm: bool = True
    """Whether the head's input is normalized."""

    def __post_init__(self) -> None:
        require(
            len(self.regressor_hidden_dims) <= MAX_LAYERS,
            f"--regressor-hidden-dims has {len(self.regressor_hidden_dims)} layers: must be at most {MAX_LAYERS}",
        )
        require(
            all(1 <= width <= MAX_WIDTH for width in self.regressor_hidden_dims),
            f"--regressor-hidden-dims {','.join(map(str, self.regressor_hidden_dims))}: "
            f"each must be between 1 and {MAX_WIDTH}",
        )
        require(
            0 <= self.regressor_dropout < 1,
            f"--regressor-dropout {self.regressor_dropout}: must be at least 0 and below 1",
        )
        require(
            self.regressor_dropout == 0 or bool(self.regressor_hidden_dims),
            "--regressor-dropout applies to hidden layers: pass --regressor-hidden-dims too",
        )
        for flag, is_given in (
            ("--residual-regression-head", self.residual_regression_head),
            ("--film-conditioning", bool(self.film_conditioning)),
        ):
            require(
                not is_given or bool(self.regressor_hidden_dims),
                f"{flag} needs hidden layers: pass --regressor-hidden-dims too, such as 64,32",
            )
        require(
            (self.moe_experts is None) == (self.moe_routing is None),
            "--moe-experts and --moe-routing need each other: pass both or neither",
        )
        require(
            self.moe_experts is None or 2 <= self.moe_experts <= MAX_EXPERTS,
            f"--moe-experts {self.moe_experts}: must be between 2 and {MAX_EXPERTS}",
        )
        require(
            math.isfinite(self.moe_balance) and self.moe_balance >= 0,
            f"--moe-balance {self.moe_balance}: must be a number of 0 or more",
        )
        require(
            self.moe_balance == _BALANCE or self.moe_experts is not None,
            "--moe-balance only applies to a mixture of experts: pass --moe-experts and --moe-routing too",
        )
        self.columns_by_flag()

    def columns(self) -> tuple[str, ...]:
        """Return all metadata columns that the head reads."""
        return tuple(dict.fromkeys(name for names in self.columns_by_flag().values() for name in names))

    def columns_by_flag(self) -> dict[str, tuple[str, ...]]:
        """Return the metadata columns that the head reads, by the flag that names them."""
        return {
            "--film-conditioning": split_columns("--film-conditioning", self.film_conditioning),
            "--moe-routing": () if self.moe_routing is None else (self.moe_routing,),
        }

    def stored(self, column_index: Mapping[str, int]) -> dict[str, Any]:
        """Return the fields of `PredictorConfig` that these options set.

        Args:
            column_index: index of each categorical column, by its name.
        """
        film = self.columns_by_flag()["--film-conditioning"]
        return {
            "hidden_dims": self.regressor_hidden_dims,
            "dropout": self.regressor_dropout,
            "residual": self.residual_regression_head,
            "film_columns": tuple(column_index[name] for name in film),
            "experts": self.moe_experts or 0,
            "routing_column": -1 if self.moe_routing is None else column_index[self.moe_routing],
            "layer_norm": self.target_layer_norm,
            "head_kind": "film" if film else "mlp",
        }


@dataclass(frozen=True)
class OutputOptions:
    """How outputs become predictions."""

    output_activation: OutputActivation = "none"
    """Keep numeric predictions at 0 or above, in the column's own units: relu (may be exactly 0), softplus, exp
    (effects multiply)."""
    bounded_targets: bool = False
    """Keep numeric predictions within the range of the training values (with a sigmoid)."""
    learnable_output_scale: bool = False
    """Learn a scale and a bias of each numeric target after the head."""
    conditional_output_scaling: tuple[str, ...] = ()
    """Metadata columns, as in `location,season`: learn a scale (from 1) and a bias (from 0) for each of their
    categories, one column after the other. Prediction needs these columns too."""

    def __post_init__(self) -> None:
        require(
            not self.bounded_targets or self.output_activation == "none",
            f"--bounded-targets and --output-activation {self.output_activation} cannot be combined; use one of them "
            "(bounds are an activation too)",
        )
        self.scaling_columns()

    def scaling_columns(self) -> tuple[str, ...]:
        """Return the columns of --conditional-output-scaling, one by one."""
        return split_columns("--conditional-output-scaling", self.conditional_output_scaling)

    def given(self) -> list[str]:
        """Return the flags whose values are not the defaults."""
        flags = {
            f"--output-activation {self.output_activation}": self.output_activation != "none",
            "--bounded-targets": self.bounded_targets,
            "--learnable-output-scale": self.learnable_output_scale,
            "--conditional-output-scaling": bool(self.conditional_output_scaling),
        }
        return [flag for flag, is_given in flags.items() if is_given]
