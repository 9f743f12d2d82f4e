"""Which module a fusion is. Each maps sample embeddings [B, D] and their conditions to [B, D]."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from aam_models.conditioning.conditions import Conditions
from aam_models.conditioning_config import ConditioningConfig
from aam_models.fusion.concat import ConcatFusion


class NoFusion(nn.Module):
    """Sample embeddings as they are."""

    def forward(self, samples: Tensor, conditions: Conditions) -> Tensor:
        """[B, D] -> [B, D]."""
        return samples


_KINDS: dict[str, Callable[[ConditioningConfig, int], nn.Module]] = {
    "none": lambda config, width: NoFusion(),
    "concat": ConcatFusion,
}


def build_fusion(config: ConditioningConfig, width: int) -> nn.Module:
    """The fusion of a configuration, for sample embeddings of this width, with freshly drawn weights."""
    return _KINDS[config.fusion.kind](config, width)
