"""The fusions, by kind."""

from __future__ import annotations

from torch import Tensor

from aam_models.config.conditioning import ConditioningConfig
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.fusion.add import AddFusion
from aam_models.predictor.fusion.base import Fusion
from aam_models.predictor.fusion.concat import ConcatFusion
from aam_models.predictor.fusion.cross_attention import CrossAttentionFusion
from aam_models.predictor.fusion.gmu import GmuFusion
from aam_models.predictor.fusion.perceiver import PerceiverFusion


class NoFusion(Fusion):
    """The identity, for models without metadata to fuse."""

    kind = "none"

    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        return samples


class ReadByHead(NoFusion):
    """The identity, for heads that read the metadata themselves."""

    kind = "head"


_CLASSES = (NoFusion, ReadByHead, ConcatFusion, AddFusion, GmuFusion, CrossAttentionFusion, PerceiverFusion)
FUSIONS: dict[str, type[Fusion]] = {fusion.kind: fusion for fusion in _CLASSES}


def build_fusion(config: ConditioningConfig, width: int, heads: int) -> Fusion:
    """Build the fusion of a configuration with random initial weights; ``width`` and ``heads`` are the encoder's."""
    return FUSIONS[config.fusion.kind](config, width, heads)


def fusion_in_words(config: ConditioningConfig) -> str:
    """Describe the fusion of a configuration, such as "concat, categories 16 wide"."""
    return f"{FUSIONS[config.fusion.kind].describe(config.fusion)}, categories {config.embed_dim} wide"
