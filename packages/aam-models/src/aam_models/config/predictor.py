"""Configuration of a predictor, as a model folder stores it. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import get_args

from aam_models.config.conditioning import ConditioningConfig
from aam_models.config.encoder import EncoderConfig
from aam_models.config.features import FeaturesConfig
from aam_models.config.limits import (
    MAX_COLUMNS,
    MAX_EXPERTS,
    MAX_LAYERS,
    MAX_OUTPUTS,
    MAX_WIDTH,
    Size,
    require,
)
from aam_models.config.predictor_options import OutputActivation


@dataclass(frozen=True)
class LinkConfig:
    """The map from a head's outputs to transformed units: the inverse link of a generalized linear model.

    Attributes:
        learned_scale: whether each target has a learned scale and bias.
        scaling_columns: indices of the categorical columns whose categories have a scale and a bias.
        activation: an `OutputActivation`.
        floors: lower bound of each target, in transformed units; empty without an activation.
        bounded: whether predictions stay between ``low`` and ``high``.
        low, high: bounds of each target, in transformed units; empty when not bounded.
    """

    learned_scale: bool = False
    scaling_columns: tuple[int, ...] = ()
    activation: str = "none"
    floors: tuple[float, ...] = ()
    bounded: bool = False
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        activations = get_args(OutputActivation)
        require(self.activation in activations, f"activation {self.activation!r}: must be one of {activations}")
        require(not (self.bounded and self.activation != "none"), f"bounded and activation {self.activation}")
        require(bool(self.floors) == (self.activation != "none"), f"floors {self.floors} of {self.activation}")
        require(bool(self.low) == self.bounded and len(self.low) == len(self.high), f"bounds {self.low} to {self.high}")
        ascend = all(a < b for a, b in zip(self.low, self.high, strict=True))
        require(ascend, f"bounds {self.low} that are not below {self.high}")
        require(len(self.scaling_columns) <= MAX_COLUMNS, f"{len(self.scaling_columns)} scaling_columns")

    def is_identity(self) -> bool:
        """Return whether outputs stay as they are."""
        return self == LinkConfig()

    def describe(self, targets: Sequence[str], columns: Sequence[str]) -> str:
        """Describe the link in words, such as "a learned scale and bias; exp (predictions from 0 up)"; empty if none.

        Args:
            targets: names of the numeric targets.
            columns: names of the categorical columns.
        """
        texts = ["a learned scale and bias"] if self.learned_scale else []
        if self.scaling_columns:
            texts.append(f"a scale and bias by {', then '.join(columns[column] for column in self.scaling_columns)}")
        if self.activation != "none":
            texts.append(f"{self.activation} (predictions from 0 up)")
        if self.bounded:
            bounds = zip(targets, self.low, self.high, strict=True)
            ranges = (f"{name} {low:.4g} to {high:.4g}" for name, low, high in bounds)
            texts.append(f"bounds in transformed units: {', '.join(ranges)}")
        return "; ".join(texts)


@dataclass(frozen=True)
class PredictorConfig:
    """An encoder, the conditions of its sample embeddings, and the head on them.

    Attributes:
        out_width: outputs per sample: targets, or classes.
        hidden_dims: widths of the head's hidden layers; none = one linear layer.
        dropout: in the head's hidden layers.
        conditioning: the metadata that are inputs; none by default.
        residual: whether a linear head is added to the one with hidden layers.
        film_columns: indices of the categorical columns that scale and shift hidden layers.
        experts: heads that ``routing_column`` mixes; 0 = one head.
        routing_column: index of the categorical column that mixes experts; -1 without experts.
        layer_norm: whether the head's input is normalized.
        target_widths: outputs of each numeric target, its quantiles; empty for classes.
        anchors: index of each numeric target's median among its outputs.
        link: from the head's outputs to transformed units.
        head_kind: key of the registry of heads, for the head or each expert.
        features: what the head reads instead of the sample embedding; None for the embedding.
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
    head_kind: str = "mlp"
    features: FeaturesConfig | None = None

    def __post_init__(self) -> None:
        require(1 <= self.out_width <= MAX_OUTPUTS, f"out_width {self.out_width}: must be 1 to {MAX_OUTPUTS:,}")
        require(0 <= self.dropout < 1, f"dropout {self.dropout}: must be at least 0 and below 1")
        require(len(self.hidden_dims) <= MAX_LAYERS, f"{len(self.hidden_dims)} hidden_dims: at most {MAX_LAYERS}")
        require(
            all(1 <= width <= MAX_WIDTH for width in self.hidden_dims),
            f"hidden_dims {self.hidden_dims}: each must be 1 to {MAX_WIDTH}",
        )
        fusion = self.conditioning.fusion
        require(
            fusion.kind != "cross-attention" or self.encoder.width % fusion.heads == 0,
            f"--cross-attn-heads {fusion.heads} does not divide the width of the embeddings, {self.encoder.width} "
            "(--embedding-dim): change one",
        )
        self._check_features()
        self._check_head()
        self._check_outputs()
        self.least_size().check("the head and the category embeddings")

    @property
    def head_width(self) -> int:
        """Numbers of a sample that the head reads, without metadata."""
        return self.encoder.width if self.features is None else self.features.width(self.encoder.width)

    def least_size(self) -> Size:
        """Return the least size of the model, its encoder included; heads of other kinds may have any."""
        parameters, tensors = self.encoder.least_size()
        if self.features is not None:
            inputs = self.encoder.max_bp * self.encoder.alphabet.n_bases * self.features.base_bandwidths
            inputs += self.encoder.width * self.features.embedding_bandwidths
            parameters, tensors = parameters + inputs * self.features.functions, tensors + 3
            parameters += self.features.reads * self.encoder.max_bp
        if self.head_kind in ("mlp", "film", "linear"):
            heads, widths = max(self.experts, 1), (self.head_width, *self.hidden_dims, self.out_width)
            parameters += heads * sum(a * b for a, b in pairwise(widths))
            tensors += heads * (len(widths) - 1)
        embedded = [category.size for category in self.conditioning.categories if category.embedded]
        return Size(parameters + sum(embedded) * self.conditioning.embed_dim, tensors + len(embedded))

    def _check_features(self) -> None:
        features, fusion = self.features, self.conditioning.fusion.kind
        require((fusion == "head") <= (self.head_kind == "linear"), f"fusion {fusion} of a {self.head_kind} head")
        if features is None:
            require(not self.encoder.is_absent, "neither an encoder nor features")
            return
        require(fusion in ("none", "head") and not self.layer_norm, f"fusion {fusion} or a LayerNorm of features")
        width = self.encoder.width
        require(bool(width) or not features.embedding_bandwidths, "features of embeddings without an encoder")

    def _check_head(self) -> None:
        require(bool(self.hidden_dims) or not self.residual, "residual without hidden_dims")
        require(bool(self.hidden_dims) or not self.film_columns, "film_columns without hidden_dims")
        require((self.head_kind == "film") == bool(self.film_columns), f"film_columns of a {self.head_kind} head")
        require(self.experts != 1 and 0 <= self.experts <= MAX_EXPERTS, f"{self.experts} experts")
        require((self.experts == 0) == (self.routing_column == -1), f"{self.experts} experts by {self.routing_column}")
        columns = (*self.film_columns, *self.link.scaling_columns, *([self.routing_column] if self.experts else []))
        known = range(len(self.conditioning.categories))
        require(all(column in known for column in columns), f"columns {columns} of {len(known)} categorical ones")

    def _check_outputs(self) -> None:
        widths, link = self.target_widths, self.link
        require(
            not widths or (min(widths) >= 1 and sum(widths) == self.out_width),
            f"target_widths {widths} of {self.out_width} outputs",
        )
        inside = len(self.anchors) == len(widths)
        inside = inside and all(0 <= anchor < width for anchor, width in zip(self.anchors, widths, strict=True))
        require(inside, f"anchors {self.anchors} of outputs {widths}")
        require(bool(widths) or link.is_identity(), "a link without target_widths")
        for bounds in (link.floors, link.low):
            require(len(bounds) in (0, len(widths)), f"a link of {len(bounds)} targets for {len(widths)}")
