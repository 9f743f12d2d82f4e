"""What a predictor is made of: what a model folder stores and ``build_predictor`` reads. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from aam_models.config.conditioning import ConditioningConfig
from aam_models.config.encoder import EncoderConfig
from aam_models.config.limits import LARGEST_WIDTH, MOST_EXPERTS, MOST_LAYERS, require
from aam_models.config.output_link import LinkConfig


@dataclass(frozen=True)
class PredictorConfig:
    """An encoder, what conditions its sample embeddings, and the head on them.

    Attributes:
        out_width: outputs per sample: targets, or classes.
        hidden_dims: widths of the head's hidden layers; none = one linear layer.
        dropout: in the head's hidden layers.
        conditioning: the metadata that go in; none by default.
        residual: whether a linear head is added to the one with hidden layers.
        film_columns: places of the categorical columns that scale and shift hidden layers.
        experts: heads that are mixed by ``routing_column``; 0 = one head.
        routing_column: place of the categorical column that mixes experts; -1 without experts.
        layer_norm: whether the head's input is normalized.
        target_widths: outputs of each numeric target, its quantiles; empty for classes.
        anchors: of each numeric target the place of its median among its outputs.
        link: what comes after the head.
    """

    encoder: EncoderConfig
    out_width: int
    hidden_dims: tuple[int, ...] = ()
    dropout: float = 0.0
    conditioning: ConditioningConfig = ConditioningConfig()
    residual: bool = False
    film_columns: tuple[int, ...] = ()
    experts: int = 0
    routing_column: int = -1
    layer_norm: bool = True
    target_widths: tuple[int, ...] = ()
    anchors: tuple[int, ...] = ()
    link: LinkConfig = LinkConfig()

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
        self._check_head()
        self._check_outputs()

    @property
    def head_kind(self) -> str:
        """What the head, or each expert, is: "linear", "mlp" or "film"."""
        if self.film_columns:
            return "film"
        return "mlp" if self.hidden_dims else "linear"

    def _check_head(self) -> None:
        require(bool(self.hidden_dims) or not self.residual, "residual without hidden_dims")
        require(bool(self.hidden_dims) or not self.film_columns, "film_columns without hidden_dims")
        require(self.experts != 1 and 0 <= self.experts <= MOST_EXPERTS, f"{self.experts} experts")
        require((self.experts == 0) == (self.routing_column == -1), f"{self.experts} experts by {self.routing_column}")
        places = (*self.film_columns, *self.link.scaling_columns, *([self.routing_column] if self.experts else []))
        known = range(len(self.conditioning.categories))
        require(all(place in known for place in places), f"columns {places} of {len(known)} categorical ones")

    def _check_outputs(self) -> None:
        widths, link = self.target_widths, self.link
        require(
            not widths or (min(widths) >= 1 and sum(widths) == self.out_width),
            f"target_widths {widths} of {self.out_width} outputs",
        )
        inside = len(self.anchors) == len(widths)
        inside = inside and all(0 <= place < width for place, width in zip(self.anchors, widths, strict=True))
        require(inside, f"anchors {self.anchors} of outputs {widths}")
        require(bool(widths) or link.is_identity(), "a link without target_widths")
        for ends in (link.floors, link.low):
            require(len(ends) in (0, len(widths)), f"a link of {len(ends)} targets for {len(widths)}")
