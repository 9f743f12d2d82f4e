"""From a head's outputs to predictions in transformed units. Axes: B samples, W outputs, T targets, C columns.

The parts act in this order, each where it was asked for: learned scale and bias; scale and bias of categories, a column
after the other; activation or bounds. All of them grow with what they are given, and the outputs of a target share
scales and biases, so quantiles stay in their order.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aam_models.config.output_link import LinkConfig
from aam_models.predictor.conditioning.conditions import Conditions


class LinkPart(nn.Module):
    """A part of the link."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = list(widths)  # outputs of each target

    @abstractmethod
    def forward(self, outputs: Tensor, conditions: Conditions) -> Tensor:
        """[B, W] -> [B, W]."""

    def invert_at_start(self, values: Tensor) -> Tensor:
        """What has to come in for ``values`` [W] to come out, with the weights that training begins with."""
        return values

    def spread(self, of_targets: Tensor) -> Tensor:
        """What each target has, [..., T], for each of its outputs, [..., W]."""
        each = of_targets.split(1, dim=-1)
        return torch.cat([x.expand(*x.shape[:-1], width) for x, width in zip(each, self.widths, strict=True)], dim=-1)


class LearnedScale(LinkPart):
    """``scale * x + bias`` of each target, the scale an exponential and so above 0; starts as 1 and 0."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.log_scale = nn.Parameter(torch.zeros(len(widths)))
        self.bias = nn.Parameter(torch.zeros(len(widths)))

    def forward(self, outputs: Tensor, conditions: Conditions) -> Tensor:
        return self.spread(self.log_scale.exp()) * outputs + self.spread(self.bias)


class CategoryScale(LinkPart):
    """``scale * x + bias`` of each category of a column and each target; starts as 1 and 0.

    Unknown categories (code 0) keep 1 and 0.

    Args:
        column: of the codes.
        size: codes of the column, the unknown included.
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


class Floor(LinkPart):
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
        parts = zip(self.floors, above.split(self.widths, dim=-1), strict=True)
        return torch.cat([floor + part for floor, part in parts], dim=-1)

    def invert_at_start(self, values: Tensor) -> Tensor:
        floors = self.spread(torch.tensor(self.floors, dtype=values.dtype))
        above = (values - floors).clamp_min(1e-3)
        if self.kind == "relu":
            return above
        return above.log() if self.kind == "exp" else above + torch.log(-torch.expm1(-above))


class Bounds(LinkPart):
    """``low + (high - low) * sigmoid(x)``: between the bounds of the target.

    Args:
        low, high: [T] in transformed units.
    """

    def __init__(self, widths: Sequence[int], low: Sequence[float], high: Sequence[float]) -> None:
        super().__init__(widths)
        self.low, self.high = list(low), list(high)

    def forward(self, outputs: Tensor, conditions: Conditions) -> Tensor:
        parts = zip(self.low, self.high, outputs.sigmoid().split(self.widths, dim=-1), strict=True)
        return torch.cat([low + (high - low) * part for low, high, part in parts], dim=-1)

    def invert_at_start(self, values: Tensor) -> Tensor:
        low, high = (self.spread(torch.tensor(ends, dtype=values.dtype)) for ends in (self.low, self.high))
        return torch.logit((values - low) / (high - low), eps=1e-3)


class OutputLink(nn.ModuleList):
    """The parts that were asked for, one after the other; none = outputs are as the head gave them.

    Args:
        config: what was asked for.
        widths: outputs of each target; they sum to W.
        sizes: codes of each column of categories.
    """

    def __init__(self, config: LinkConfig, widths: Sequence[int], sizes: Sequence[int]) -> None:
        parts: list[LinkPart] = [LearnedScale(widths)] if config.learned_scale else []
        parts += [CategoryScale(widths, column, sizes[column]) for column in config.scaling_columns]
        if config.activation != "none":
            parts.append(Floor(widths, config.activation, config.floors))
        if config.bounded:
            parts.append(Bounds(widths, config.low, config.high))
        super().__init__(parts)

    def forward(self, outputs: Tensor, conditions: Conditions) -> Tensor:
        """Outputs of the head [B, W] -> transformed units [B, W]."""
        for part in self:
            outputs = part(outputs, conditions)
        return outputs

    def invert_at_start(self, values: Tensor) -> Tensor:
        """What the head has to give for ``values`` [W] in transformed units, with the weights training begins with."""
        for part in reversed(list(self)):
            assert isinstance(part, LinkPart)
            values = part.invert_at_start(values)
        return values
