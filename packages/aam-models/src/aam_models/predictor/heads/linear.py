"""A linear map of the features and the metadata of a sample: the head that is fitted in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from aam_models.config.predictor import PredictorConfig
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.heads.base import HeadOutput, SingleHead


class LinearHead(SingleHead):
    """``W z + sum of a vector per category + b`` of features and covariates z; the vector of an unknown category is 0.

    Args:
        width: of the features x.
        sizes: number of codes of each categorical column.
        covariates: values of numeric columns, two per column.
        out_width: W.
    """

    kind = "linear"

    def __init__(self, width: int, sizes: Sequence[int], covariates: int, out_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width + covariates, out_width)
        self.categories = nn.ModuleList(nn.Embedding(size, out_width, padding_idx=0) for size in sizes)
        self.zero_output()

    @classmethod
    def from_config(cls, config: PredictorConfig) -> Self:
        conditioning = config.conditioning
        sizes = [category.size for category in conditioning.categories]
        return cls(config.head_width, sizes, 2 * conditioning.covariates, config.out_width)

    @classmethod
    def describe(cls, config: PredictorConfig, columns: Sequence[str]) -> str:
        return f"one linear layer on {config.head_width:,} features of a sample, fitted in closed form before any steps"

    def forward(self, x: Tensor, conditions: Conditions) -> HeadOutput:
        with torch.autocast(x.device.type, enabled=False):
            z = torch.cat([x, conditions.covariates], dim=1)
            outputs = self.linear(z.to(self.linear.weight.dtype))
            for column, vectors in enumerate(self.categories):
                outputs = outputs + vectors(conditions.codes[:, column])
        return HeadOutput(outputs)

    @torch.no_grad()
    def initialize_output(self, outputs: Tensor) -> None:
        self.linear.bias.copy_(outputs)

    def zero_output(self) -> None:
        for tensor in self.parameters():
            nn.init.zeros_(tensor)
