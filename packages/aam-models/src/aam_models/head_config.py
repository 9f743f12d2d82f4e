"""Options of a predictor's head. Standard library only; see aam_data.config for how an option is declared."""

from __future__ import annotations

from dataclasses import dataclass

from aam_models.limits import LARGEST_WIDTH, MOST_LAYERS, require


@dataclass(frozen=True)
class HeadOptions:
    """The head that turns a sample embedding into the target."""

    regressor_hidden_dims: tuple[int, ...] = ()
    """Widths of the head's hidden layers, like 64,32; default: one linear layer."""
    regressor_dropout: float = 0.0
    """Dropout in the head's hidden layers."""

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
