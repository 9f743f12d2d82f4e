"""The sum of a linear head and one with hidden layers."""

from __future__ import annotations

from torch import Tensor

from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.heads.base import Head, HeadOutput


class ResidualHead(Head):
    """``linear(x) + body(x)``; the body starts with an output of 0, so the sum starts equal to the linear head.

    Args:
        linear: one linear layer.
        body: has hidden layers; its outputs become 0.
    """

    def __init__(self, linear: Head, body: Head) -> None:
        super().__init__()
        self.linear, self.body = linear, body
        body.zero_output()

    def forward(self, x: Tensor, conditions: Conditions) -> HeadOutput:
        body: HeadOutput = self.body(x, conditions)
        return HeadOutput(self.linear(x, conditions).outputs + body.outputs, body.routing)

    def initialize_output(self, outputs: Tensor) -> None:
        self.linear.initialize_output(outputs)

    def zero_output(self) -> None:
        self.linear.zero_output()
        self.body.zero_output()
