"""Options of a predictor's head. Standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aam_models.config.limits import LARGEST_WIDTH, MOST_EXPERTS, MOST_LAYERS, require, split_columns

_BALANCE = 0.01


@dataclass(frozen=True)
class HeadOptions:
    """The head that turns a sample embedding into the target."""

    regressor_hidden_dims: tuple[int, ...] = ()
    """Widths of the head's hidden layers, like 64,32; default: one linear layer."""
    regressor_dropout: float = 0.0
    """Dropout in the head's hidden layers."""
    residual_regression_head: bool = False
    """Add a linear head to the one with hidden layers, which then starts as 0."""
    film_conditioning: tuple[str, ...] = ()
    """Metadata columns, as in `location,season`, whose categories scale and shift each hidden layer (FiLM). Prediction
    needs these columns too."""
    moe_experts: int | None = None
    """Heads of a mixture of experts, each of which is as the other options say; needs --moe-routing."""
    moe_routing: str | None = None
    """Metadata column whose categories say how much of each expert a sample gets. Prediction needs it too."""
    moe_balance: float = _BALANCE
    """Weight of the loss that keeps experts in use: K times the sum of squares of their mean shares, minus 1."""
    target_layer_norm: bool = True
    """Whether the head's input is normalized."""

    def __post_init__(self) -> None:
        require(
            len(self.regressor_hidden_dims) <= MOST_LAYERS,
            f"--regressor-hidden-dims has {len(self.regressor_hidden_dims)} layers: must be at most {MOST_LAYERS}",
        )
        require(
            all(1 <= width <= LARGEST_WIDTH for width in self.regressor_hidden_dims),
            f"--regressor-hidden-dims {','.join(map(str, self.regressor_hidden_dims))}: "
            f"each must be between 1 and {LARGEST_WIDTH}",
        )
        require(
            0 <= self.regressor_dropout < 1,
            f"--regressor-dropout {self.regressor_dropout}: must be at least 0 and below 1",
        )
        require(
            self.regressor_dropout == 0 or bool(self.regressor_hidden_dims),
            "--regressor-dropout acts in hidden layers: give --regressor-hidden-dims too",
        )
        for flag, is_given in (
            ("--residual-regression-head", self.residual_regression_head),
            ("--film-conditioning", bool(self.film_conditioning)),
        ):
            require(
                not is_given or bool(self.regressor_hidden_dims),
                f"{flag} needs hidden layers: give --regressor-hidden-dims too, such as 64,32",
            )
        require(
            (self.moe_experts is None) == (self.moe_routing is None),
            "--moe-experts and --moe-routing go together: give both or neither",
        )
        require(
            self.moe_experts is None or 2 <= self.moe_experts <= MOST_EXPERTS,
            f"--moe-experts {self.moe_experts}: must be between 2 and {MOST_EXPERTS}",
        )
        require(
            math.isfinite(self.moe_balance) and self.moe_balance >= 0,
            f"--moe-balance {self.moe_balance}: must be a number of 0 or more",
        )
        require(
            self.moe_balance == _BALANCE or self.moe_experts is not None,
            "--moe-balance is about experts: give --moe-experts and --moe-routing too",
        )
        self.film_columns()

    def columns(self) -> tuple[str, ...]:
        """All metadata columns that the head reads."""
        routing = () if self.moe_routing is None else (self.moe_routing,)
        return tuple(dict.fromkeys((*self.film_columns(), *routing)))

    def film_columns(self) -> tuple[str, ...]:
        """The columns of --film-conditioning, one by one."""
        return split_columns("--film-conditioning", self.film_conditioning)
