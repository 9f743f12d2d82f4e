"""The gradients of several micro-batches are those of one mean over all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aam_models.build import build_encoder
from aam_models.config.encoder import ModelOptions
from aam_models.encoder.encoder import Encoder
from aam_models.requested import EVERYTHING
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import TrainingPlan
from aam_train.data.run_data import RunData
from aam_train.engine.gradients import gradients
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.setup.architecture import new_encoder_config
from aam_train.setup.head_initialization import calibrate_heads

SMALL = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1)
MASKING = (MaskBases(0.15), HideCounts(0.15))


def of_first_step(
    data: RunData, weights: dict[str, float], batch_size: int, accumulation: int
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Return gradients and loss terms of the first step."""
    objective = build_objective(weights, Sources(data.pairs))
    torch.manual_seed(0)
    model = build_encoder(new_encoder_config(SMALL, 150, weights))
    step = Step(model, torch.device("cpu"))
    calibrate_heads(step, data, objective.encoder, 32)
    plan = TrainingPlan(data.rows["train"], batch_size, 1, MASKING, accumulation)
    batches = [data.maker[request] for request in next(plan.epoch(0))]
    assert len(batches) == accumulation
    update = Update(build_optimizer(model, OptimizerOptions()), None, 0.0)
    losses = gradients(step, objective, update, batches).losses
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}, losses


def test_gradients_of_sums_over_samples_and_bases_are_those_of_the_whole(data: RunData) -> None:
    weights = {"faith_pd": 0.5, "nucleotides": 2.0, "counts": 3.0}
    whole, losses = of_first_step(data, weights, 14, 1)
    parts, losses_of_parts = of_first_step(data, weights, 5, 3)
    assert losses_of_parts == pytest.approx(losses, rel=1e-5)
    assert losses["total"] == pytest.approx(sum(losses[name] * weight for name, weight in weights.items()))
    assert parts.keys() == whole.keys()
    for name, gradient in whole.items():
        assert torch.allclose(parts[name], gradient, rtol=1e-4, atol=1e-6), name


def test_pairs_are_those_of_each_micro_batch_over_their_number(data: RunData) -> None:
    """Three blocks of 5, 5 and 4 samples have 10 + 10 + 6 pairs; a single one would have 91."""
    weights = {"unifrac": 1.0}
    objective = build_objective(weights, Sources(data.pairs))
    _, losses = of_first_step(data, weights, 5, 3)
    torch.manual_seed(0)
    model: Encoder = build_encoder(new_encoder_config(SMALL, 150, weights))
    step = Step(model, torch.device("cpu"))
    calibrate_heads(step, data, objective.encoder, 32)
    head = model.distance_head
    assert head is not None
    assert data.pairs is not None
    total, count = 0.0, 0
    for request in next(TrainingPlan(data.rows["train"], 5, 1, MASKING, 3).epoch(0)):
        embeddings = step.run(data.maker[request], EVERYTHING).encoded.sample_embeddings
        true = data.pairs.pairs(request.rows, request.rows, request.draw)
        for i, j in zip(*np.triu_indices(len(request.rows), 1), strict=True):
            distance = head(embeddings[i : i + 1], embeddings[j : j + 1]).item()
            total += ((distance - float(true[i, j])) / head.spread.item()) ** 2
            count += 1
    assert count == 26
    assert losses["unifrac"] == pytest.approx(total / count, rel=1e-5)
