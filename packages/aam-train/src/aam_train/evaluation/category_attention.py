"""Attention weights of a cross-attention fusion: of a sample over itself, its categories and its covariates.

Prediction does not compute the weights, so this is a separate and slower pass.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from aam_models.predictor.fusion.cross_attention import CrossAttentionFusion
from aam_models.predictor.predictor import Predictor
from aam_train.data.loading import BatchMaker
from aam_train.engine.step import Step
from aam_train.errors import TrainError
from aam_train.evaluation.inference import evaluating
from aam_train.files import write_table

ITSELF, COVARIATES = "(sample)", "(numeric columns)"


def check_has_attention(step: Step, source: Path) -> None:
    """Raise TrainError unless the model has a fusion with attention weights."""
    if not isinstance(step.model, Predictor) or not isinstance(step.model.fusion, CrossAttentionFusion):
        raise TrainError(
            f"--category-attention: {source} was not trained with --categorical-fusion cross-attention. Omit the option"
        )


def category_attention(
    step: Step, maker: BatchMaker, rows: np.ndarray, embeddings: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """Compute the attention weights of samples, averaged over the heads.

    Args:
        rows: int64 [R] rows of the study.
        embeddings: float32 [R, D] of these samples, see `run_samples`.

    Returns:
        Names of the K keys (the sample itself, the fused categorical columns, the numeric columns together), and
        weights float32 [R, K], whose rows sum to 1.
    """
    model, inputs = step.model, maker.collator.inputs
    assert isinstance(model, Predictor)
    assert isinstance(model.fusion, CrossAttentionFusion)
    assert inputs is not None
    codes, covariates = (torch.from_numpy(values[rows]).to(step.device) for values in (inputs.codes, inputs.covariates))
    with evaluating(step):
        conditions = model.conditioning.from_codes(codes, covariates)
        weights = model.fusion.weights(torch.from_numpy(embeddings).to(step.device), conditions)
    fitted = maker.samples.preprocessor.inputs
    names = [ITSELF, *(fitted.categories.columns[index] for index in model.config.conditioning.fused)]
    names += [COVARIATES] if fitted.covariates.columns else []
    return names, weights.mean(dim=1).cpu().numpy()


def write_attention(path: Path, sample_ids: np.ndarray, names: list[str], weights: np.ndarray) -> None:
    """Write a table with one row per sample and one column per key."""
    rows = ([i, *(f"{value:.6g}" for value in row)] for i, row in zip(sample_ids, weights, strict=True))
    write_table(path, ["sample-id", *names], rows)
