"""Encoder -> LayerNorm -> head."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from aam_models.build import build_predictor
from aam_models.config.encoder import EncoderConfig
from aam_models.config.predictor import PredictorConfig

LENGTHS = (6, 9, 14)


def bare(config: EncoderConfig) -> EncoderConfig:
    return replace(config, objectives=())


@pytest.mark.parametrize("hidden_dims", [(), (7,), (7, 5)])
def test_outputs_are_the_head_of_the_normed_embedding(hidden_dims, config, model_of, batch_of, random_samples) -> None:
    predictor = model_of(PredictorConfig(bare(config), out_width=3, hidden_dims=hidden_dims))
    batch = batch_of(random_samples((5, 3), LENGTHS))
    predicted, encoded = predictor(batch)
    assert torch.equal(predicted.features, predictor.encoder(batch).sample_embeddings)
    x = nn.functional.layer_norm(encoded.sample_embeddings, (config.width,), predictor.norm.weight, predictor.norm.bias)
    linear = [layer for layer in predictor.head if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [*hidden_dims, 3]
    for layer in linear[:-1]:
        x = nn.functional.gelu(x @ layer.weight.T + layer.bias)
    torch.testing.assert_close(predicted.outputs, x @ linear[-1].weight.T + linear[-1].bias, rtol=1e-10, atol=1e-12)


def test_known_embeddings_replace_the_encoder(config, model_of, batch_of, random_samples) -> None:
    predictor = model_of(PredictorConfig(bare(config), out_width=2))
    batch = batch_of(random_samples((5, 3), LENGTHS))
    predicted, encoded = predictor(batch)
    again, same = predictor(batch, encoded)
    assert same is encoded
    assert torch.equal(again.outputs, predicted.outputs)
    conditions = predictor.conditioning(batch)
    assert torch.equal(predictor.predict_from(encoded.sample_embeddings, conditions).outputs, predicted.outputs)


def test_gradients_reach_every_parameter(config, batch_of, random_samples) -> None:
    torch.manual_seed(0)
    predictor = build_predictor(PredictorConfig(replace(bare(config)), out_width=3, hidden_dims=(7,))).double()
    predicted, _ = predictor(batch_of(random_samples((9, 12, 10), LENGTHS)))
    predicted.outputs.sin().sum().backward()
    unreached = {
        name
        for name, parameter in predictor.named_parameters()
        if parameter.grad is None or parameter.grad.abs().max() < 1e-9
    }
    assert not unreached


def test_dropout_acts_in_training_only(config, model_of, batch_of, random_samples) -> None:
    predictor = model_of(PredictorConfig(bare(config), out_width=2, hidden_dims=(50,), dropout=0.5))
    batch = batch_of(random_samples((5, 3), LENGTHS))
    predictor.train()
    assert not torch.equal(predictor(batch)[0].outputs, predictor(batch)[0].outputs)
    predictor.eval()
    assert torch.equal(predictor(batch)[0].outputs, predictor(batch)[0].outputs)
