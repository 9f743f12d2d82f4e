"""Initial values of heads from training samples, so that no step is spent on offsets."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.predictor.predictor import Predictor
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.objectives.base import PretrainingObjective


def calibrate_heads(
    step: Step, data: RunData, terms: Sequence[PretrainingObjective], batch_size: int, *, keep: Collection[str] = ()
) -> None:
    """Set what the heads of the objectives take from training samples (fixed draw).

    Args:
        keep: objectives whose heads are calibrated already.
    """
    for term in terms:
        if term.name not in keep:
            term.calibrate(step, data, batch_size)


def initialize_at_prior(
    model: Predictor, targets: np.ndarray, preprocessor: Preprocessor, class_weights: Sequence[float] | None = None
) -> None:
    """Start the head at the training mean and quantiles, or at the (weighted) training shares of the classes.

    Args:
        targets: [R, T] of the training samples, transformed or codes, NaN = missing.
        class_weights: [K], those of the loss.
    """
    if preprocessor.labels is not None:
        codes = targets[np.isfinite(targets[:, 0]), 0].astype(np.int64)
        shares = np.bincount(codes, minlength=len(preprocessor.labels.names)) + 1.0
        shares = shares if class_weights is None else shares * np.array(class_weights)
        prior = np.log(shares / shares.sum())
    else:
        each = zip(preprocessor.targets, targets.T, strict=True)
        prior = np.concatenate(
            [np.nanquantile(x, t.quantiles) if t.quantiles else np.nanmean(x, keepdims=True) for t, x in each]
        )
    model.initialize_output(torch.from_numpy(prior.astype(np.float32)))
