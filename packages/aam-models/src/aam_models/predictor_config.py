"""What a predictor is made of: what a model folder stores and ``build_predictor`` reads. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from aam_models.conditioning_config import ConditioningConfig
from aam_models.config import EncoderConfig
from aam_models.limits import LARGEST_WIDTH, MOST_LAYERS, require


@dataclass(frozen=True)
class PredictorConfig:
    """An encoder, what conditions its sample embeddings, and the head on them.

    Attributes:
        out_width: outputs per sample: targets, or classes.
        hidden_dims: widths of the head's hidden layers; none = one linear layer.
        dropout: in the head's hidden layers.
        conditioning: the metadata that go in; none by default.
    """

    encoder: EncoderConfig
    out_width: int
    hidden_dims: tuple[int, ...] = ()
    dropout: float = 0.0
    conditioning: ConditioningConfig = ConditioningConfig()

    def __post_init__(self) -> None:
        require(1 <= self.out_width <= 1_000_000, f"out_width {self.out_width}: must be 1 to 1,000,000")
        require(0 <= self.dropout < 1, f"dropout {self.dropout}: must be at least 0 and below 1")
        require(len(self.hidden_dims) <= MOST_LAYERS, f"{len(self.hidden_dims)} hidden_dims: at most {MOST_LAYERS}")
        require(
            all(1 <= width <= LARGEST_WIDTH for width in self.hidden_dims),
            f"hidden_dims {self.hidden_dims}: each must be 1 to {LARGEST_WIDTH}",
        )
        fusion = self.conditioning.fusion
        require(
            fusion.kind != "cross-attention" or self.encoder.width % fusion.heads == 0,
            f"--cross-attn-heads {fusion.heads} does not divide the width of the embeddings, {self.encoder.width} "
            "(--embedding-dim): change one",
        )
