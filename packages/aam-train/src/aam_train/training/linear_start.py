"""A linear head that starts where a fixed encoder is best: linear probing, then fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from aam_models.config.predictor import LinkConfig
from aam_models.predictor.heads.mlp import MlpHead
from aam_models.predictor.predictor import Predictor
from aam_models.requested import EMBEDDINGS
from aam_train.evaluation.inference import run_samples
from aam_train.options.losses import has_closed_form
from aam_train.options.recipe_configs import TrainConfig
from aam_train.setup.run_context import RunContext
from aam_train.setup.training_setup import TrainingSetup
from aam_train.training.probe import fit_outputs


def starts_linear(config: TrainConfig, setup: TrainingSetup) -> bool:
    """Return whether the head is one linear layer on the embeddings of a pretrained encoder, with a convex loss."""
    model = setup.step.model
    is_plain = (
        isinstance(model, Predictor)
        and isinstance(model.head, MlpHead)
        and len(model.head) == 1
        and model.config.conditioning.fusion.kind == "none"
        and model.config.link == LinkConfig()
    )
    convex = config.target.classifier or all(has_closed_form(each.type) for each in config.losses())
    return is_plain and convex and config.transfer.pretrained_encoder is not None


def start_at_linear_fit(
    config: TrainConfig, context: RunContext, setup: TrainingSetup, class_weights: Mapping[str, float]
) -> None:
    """Set the head to the closed-form fit on the initial embeddings of the training samples.

    Steps of 1e-4 from a head of zeros would need thousands of updates to get there, and distort the encoder meanwhile
    (Kumar et al. 2022, arXiv:2202.10054). All processes of a run must call it.

    Raises:
        TrainError: all training samples have the same class.
    """
    model, data, strategy = setup.step.model, setup.data, context.strategy
    assert isinstance(model, Predictor)
    assert isinstance(model.head, MlpHead)
    rows = data.rows["train"]
    embeddings = run_samples(setup.step, data.maker, rows, config.run.batch_size, EMBEDDINGS).embeddings
    assert embeddings is not None
    with torch.no_grad():
        normed = model.norm(torch.from_numpy(embeddings).to(setup.step.device)).cpu().double().numpy()
    mean, scale = normed.mean(axis=0), float(np.sqrt(normed.var(axis=0).sum())) or 1.0

    def fit() -> tuple[list[list[float]], list[float]]:
        found = fit_outputs((normed - mean) / scale, rows, setup, class_weights, config.run.seed, context.console.note)
        weight = found.weight / scale
        return weight.tolist(), (found.bias - weight @ mean).tolist()

    weight, bias = strategy.ranks.on_rank_zero(fit)
    start = model.quantiles.invert(torch.tensor(bias, dtype=torch.float64))
    with torch.no_grad():
        for tensor, values in ((model.head.last.weight, torch.tensor(weight)), (model.head.last.bias, start)):
            strategy.load_shard(tensor, values.to(tensor.dtype))
