"""Which module a fusion is. Each maps sample embeddings [B, D] and their conditions to [B, D]."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from aam_models.config.conditioning import ConditioningConfig
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.fusion.add import AddFusion
from aam_models.predictor.fusion.concat import ConcatFusion
from aam_models.predictor.fusion.cross_attention import CrossAttentionFusion
from aam_models.predictor.fusion.gmu import GmuFusion
from aam_models.predictor.fusion.perceiver import PerceiverFusion


class NoFusion(nn.Module):
    """Sample embeddings as they are."""

    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        """[B, D] -> [B, D]."""
        return samples


_KINDS: dict[str, Callable[[ConditioningConfig, int, int], nn.Module]] = {
    "none": lambda config, width, heads: NoFusion(),
    "concat": ConcatFusion,
    "add": AddFusion,
    "gmu": GmuFusion,
    "cross-attention": CrossAttentionFusion,
    "perceiver": PerceiverFusion,
}


def build_fusion(config: ConditioningConfig, width: int, heads: int) -> nn.Module:
    """The fusion of a configuration with freshly drawn weights; ``width`` and ``heads`` are the encoder's."""
    return _KINDS[config.fusion.kind](config, width, heads)
