"""From a head's outputs to predictions in transformed units. Axes: B samples, W outputs, T targets, C columns.

In the words of generalized linear models this is the inverse link. Its layers act in this order, each if it was asked
for: learned scale and bias; scale and bias of categories, column by column; activation or bounds. All of them increase
with their input, and the outputs of a target share scales and biases, so quantiles keep their order.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aam_models.config.predictor import LinkConfig
from aam_models.predictor.conditioning.conditions import Conditions


class LinkLayer(nn.Module):
    """A layer of the link."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = list(widths)  # outputs of each target

    @abstractmethod
    def forward(self, outputs: Tensor, conditions: Conditions) -> Tensor:
        """Map [B, W] to [B, W]."""

    def inverse_at_init(self, values: Tensor) -> Tensor:
        """Return the input [W] that the layer maps to ``values`` [W] with its initial weights."""
        return values

    def spread(self, per_target: Tensor) -> Tensor:
        """Repeat the value of each target, [..., T], for each of its outputs, [..., W]."""
        each = per_target.split(1, dim=-1)
        return torch.cat([x.expand(*x.shape[:-1], width) for x, width in zip(each, self.widths, strict=True)], dim=-1)


class AffineScale(LinkLayer):
    """``scale * x + bias`` of each target, the scale an exponential and so above 0; starts as 1 and 0."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.log_scale = nn.Parameter(torch.zeros(len(widths)))
        self.bias = nn.Parameter(torch.zeros(len(widths)))

    def forward(self, outputs: Tensor, conditions: Conditions) -> Tensor:
        return self.spread(self.log_scale.exp()) * outputs + self.spread(self.bias)


class CategoryScale(LinkLayer):
    """``scale * x + bias`` of each category of a column and each target; starts as 1 and 0.

    Unknown categories (code 0) keep 1 and 0.

    Args:
        column: index of the categorical column.
        size: number of its codes, including 0.
    """

    def __init__(self, widths: Sequence[int], column: int, size: int) -> None:
        super().__init__(widths)
        self.column = column
        self.log_scale = nn.Embedding(size, len(widths), padding_idx=0)
        self.bias = nn.Embedding(size, len(widths), padding_idx=0)
        nn.init.zeros_(self.log_scale.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, outputs: Tensor, conditions: Conditions) -> Tensor:
        codes = conditions.codes[:, self.column]
        return self.spread(self.log_scale(codes).exp()) * outputs + self.spread(self.bias(codes))


class LowerBound(LinkLayer):
    """``floor + activation(x)``: never below the floor of the target.

    Args:
        activation: "relu", "softplus" or "exp".
        floors: [T] in transformed units.
    """

    def __init__(self, widths: Sequence[int], activation: str, floors: Sequence[float]) -> None:
        super().__init__(widths)
        self.kind, self.floors = activation, list(floors)

    def forward(self, outputs: Tensor, conditions: Conditions) -> Tensor:
        activations: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "softplus": F.softplus, "exp": torch.exp}
        above = activations[self.kind](outputs)
        targets = zip(self.floors, above.split(self.widths, dim=-1), strict=True)
        return torch.cat([floor + target for floor, target in targets], dim=-1)

    def inverse_at_init(self, values: Tensor) -> Tensor:
        floors = self.spread(torch.tensor(self.floors, dtype=values.dtype))
        above = (values - floors).clamp_min(1e-3)
        if self.kind == "relu":
            return above
        return above.log() if self.kind == "exp" else above + torch.log(-torch.expm1(-above))


class Bounds(LinkLayer):
    """``low + (high - low) * sigmoid(x)``: between the bounds of the target.

    Args:
        low, high: [T] in transformed units.
    """

    def __init__(self, widths: Sequence[int], low: Sequence[float], high: Sequence[float]) -> None:
        super().__init__(widths)
        self.low, self.high = list(low), list(high)

    def forward(self, outputs: Tensor, conditions: Conditions) -> Tensor:
        targets = zip(self.low, self.high, outputs.sigmoid().split(self.widths, dim=-1), strict=True)
        return torch.cat([low + (high - low) * target for low, high, target in targets], dim=-1)

    def inverse_at_init(self, values: Tensor) -> Tensor:
        low, high = (self.spread(torch.tensor(ends, dtype=values.dtype)) for ends in (self.low, self.high))
        return torch.logit((values - low) / (high - low), eps=1e-3)


class OutputLink(nn.ModuleList):
    """The layers that were asked for, one after the other; without any, outputs are those of the head.

    Args:
        config: the layers.
        widths: outputs of each target; they sum to W.
        sizes: number of codes of each categorical column.
    """

    def __init__(self, config: LinkConfig, widths: Sequence[int], sizes: Sequence[int]) -> None:
        layers: list[LinkLayer] = [AffineScale(widths)] if config.learned_scale else []
        layers += [CategoryScale(widths, column, sizes[column]) for column in config.scaling_columns]
        if config.activation != "none":
            layers.append(LowerBound(widths, config.activation, config.floors))
        if config.bounded:
            layers.append(Bounds(widths, config.low, config.high))
        super().__init__(layers)

    def forward(self, outputs: Tensor, conditions: Conditions) -> Tensor:
        """Map outputs of the head [B, W] to transformed units [B, W]."""
        for layer in self:
            outputs = layer(outputs, conditions)
        return outputs

    def inverse_at_init(self, values: Tensor) -> Tensor:
        """Return the outputs of the head [W] that become ``values`` [W] in transformed units, with initial weights."""
        for layer in reversed(list(self)):
            assert isinstance(layer, LinkLayer)
            values = layer.inverse_at_init(values)
        return values
