"""Metadata of samples as tensors for a predictor. Axes: B samples, C categorical columns, K numeric ones, E width."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from aam_models.batch.batch import Batch
from aam_models.config.conditioning import ConditioningConfig
from aam_models.predictor.conditioning.category_embedding import CategoryEmbedding


class Conditions(NamedTuple):
    """The metadata of a batch that fusion, heads and links receive besides the sample embeddings.

    Attributes:
        codes: int64 [B, C], 0 = unknown.
        embedded: [B, C, E], embeddings of the categories, including those of their parents.
        covariates: [B, 2 K], standardized values, then 1 where the value is missing.
    """

    codes: Tensor
    embedded: Tensor
    covariates: Tensor


class Conditioning(nn.Module):
    """The conditions of a batch; without categorical and numeric columns they are tensors of zero width."""

    def __init__(self, config: ConditioningConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = CategoryEmbedding(config.categories, config.embed_dim)

    def forward(self, batch: Batch) -> Conditions:
        """Return codes, embeddings and covariates of the batch's samples.

        Raises:
            RuntimeError: the batch lacks the categories or covariates that the model reads.
        """
        rows = batch.n_samples
        codes = batch.sample_keys.new_zeros((rows, 0)) if batch.categories is None else batch.categories
        covariates = batch.counts.new_zeros((rows, 0)) if batch.covariates is None else batch.covariates
        return self.from_codes(codes, covariates)

    def from_codes(self, codes: Tensor, covariates: Tensor) -> Conditions:
        """Return the conditions of samples with codes [B, C] and covariates [B, 2 K]; raises as `forward` does."""
        n_categories, n_covariates = len(self.config.categories), 2 * self.config.covariates
        if (codes.shape[1], covariates.shape[1]) != (n_categories, n_covariates):
            actual = f"{codes.shape[1]} categories and {covariates.shape[1]} covariate values"
            raise RuntimeError(f"a batch with {actual}, the predictor reads {n_categories} and {n_covariates}")
        no_column = covariates.new_zeros((len(codes), 0, self.config.embed_dim))
        embedded = self.embedding(codes) if n_categories else no_column
        return Conditions(codes, embedded, covariates)
