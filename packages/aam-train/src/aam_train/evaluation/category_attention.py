"""What a cross-attention fusion looks at: a sample's weights over itself, its categories and its covariates.

A slower path than prediction's, which does not form the weights.
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


def check_attends(step: Step, source: Path) -> None:
    """Raise TrainError unless the model has a fusion whose weights can be read."""
    if not isinstance(step.model, Predictor) or not isinstance(step.model.fusion, CrossAttentionFusion):
        raise TrainError(
            f"--category-attention: {source} was not trained with --categorical-fusion cross-attention. Leave it out"
        )


def category_attention(
    step: Step, maker: BatchMaker, rows: np.ndarray, embeddings: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """Weights of samples over what they attend to, means of the heads.

    Args:
        rows: int64 [R] of the study.
        embeddings: float32 [R, D] theirs, see `run_samples`.

    Returns:
        Names of the K keys: the sample itself, the fused categorical columns, the numeric ones together. And weights
        float32 [R, K], each row summing to 1.
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
    names = [ITSELF, *(fitted.categories.columns[place] for place in model.config.conditioning.fused)]
    names += [COVARIATES] if fitted.covariates.columns else []
    return names, weights.mean(dim=1).cpu().numpy()


def write_attention(path: Path, sample_ids: np.ndarray, names: list[str], weights: np.ndarray) -> None:
    """One row a sample, one column for each thing it attends to."""
    rows = ([i, *(f"{value:.6g}" for value in row)] for i, row in zip(sample_ids, weights, strict=True))
    write_table(path, ["sample-id", *names], rows)
