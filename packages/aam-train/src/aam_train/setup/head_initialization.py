"""What is set from training samples before the first step, so that no step is spent on offsets."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.random_keys import Purpose, generator
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.predictor import Predictor
from aam_models.requested import EMBEDDINGS
from aam_train.data.loading import FIXED_DRAW
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.evaluation.inference import run_samples
from aam_train.losses.distance_loss import pair_indices
from aam_train.losses.objective import Objective

MOST_SAMPLES = 64  # whose pairs the distance head is calibrated on
MOST_VALUES = 1000  # samples whose Faith PD gives mean and spread


def calibrate_encoder(
    step: Step, data: RunData, objective: Objective, batch_size: int, *, keep: Collection[str] = ()
) -> None:
    """Set the maps of the distance and Faith PD heads from training samples (fixed draw).

    Args:
        keep: heads that know their map already: "distance_head", "faith_pd_head".
    """
    encoder: Encoder = step.encoder
    if objective.weights.unifrac and encoder.distance_head is not None and "distance_head" not in keep:
        assert objective.pairs is not None
        rows = _some(data.rows["train"], MOST_SAMPLES, data.preprocessor.seed)
        found = run_samples(step, data.maker, rows, batch_size, EMBEDDINGS).embeddings
        assert found is not None
        embeddings = torch.from_numpy(found).to(step.device)
        i, j = pair_indices(len(rows), step.device)
        distances = torch.from_numpy(objective.pairs.pairs(rows, rows, FIXED_DRAW)).to(step.device)
        encoder.distance_head.calibrate(embeddings[i], embeddings[j], distances[i, j])
    if objective.weights.faith_pd and encoder.faith_pd_head is not None and "faith_pd_head" not in keep:
        assert objective.pairs is not None
        rows = _some(data.rows["train"], MOST_VALUES, data.preprocessor.seed)
        values = torch.from_numpy(objective.pairs.values(rows, FIXED_DRAW))
        encoder.faith_pd_head.calibrate(values.to(step.device))


def start_at_prior(
    model: Predictor, targets: np.ndarray, preprocessor: Preprocessor, class_weights: Sequence[float] | None = None
) -> None:
    """Let the head begin at the training mean and quantiles, or at the (weighted) training shares of the classes.

    Args:
        targets: [R, T] of the training samples, transformed or codes, NaN = missing.
        class_weights: [K] in the loss.
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
    model.start_at(torch.from_numpy(prior.astype(np.float32)))


def _some(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most ``most`` of the rows, the same for the same seed."""
    if len(rows) <= most:
        return rows
    return np.sort(generator(seed, Purpose.CALIBRATION).choice(rows, most, replace=False))
