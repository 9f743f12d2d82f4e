"""The count of operations against PyTorch's own counter."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from aam_models.build import build_encoder
from aam_models.config.conditioning import CategoryConfig, ConditioningConfig, FusionConfig
from aam_models.config.predictor import PredictorConfig

LENGTHS = (6, 9, 14)


def counted(model, batch, *, backward: bool = False) -> int:
    """By PyTorch, with attention as matrix products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        output = model(batch)
        if backward:
            encoded = output[0] if isinstance(output[0], tuple) else output
            outputs = [encoded.sample_embeddings, encoded.asv_embeddings, *encoded.predictions.values()]
            sum(x.float().sum() for x in outputs).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("bases_per_token", [1, 2, 4])
@pytest.mark.parametrize("chunk_size", [None, 3])
@pytest.mark.parametrize("method", ["add", "concat", "film", None])
def test_an_encoder(config, model_of, batch_of, random_samples, method, chunk_size, bases_per_token) -> None:
    config = replace(
        config, width=32, heads=4, asv_layers=2, sample_layers=3, size_embedding=True,
        count_embedding=method is not None, count_embedding_method=method or "add", bases_per_token=bases_per_token,
    )  # fmt: skip
    batch = batch_of(
        random_samples((9, 4, 12), LENGTHS), mask_ratio=0.2, hide_ratio=0.3, chunk_size=chunk_size, spare_slots=3
    )
    encoder = model_of(config)
    found = encoder.flops(batch)
    assert found.total == pytest.approx(counted(encoder, batch), rel=0.01)
    assert found.head == 0
    assert found.asv_level > found.sample_level / (3 * bases_per_token)


def test_taxa_and_what_is_absent(config, model_of, batch_of, random_samples) -> None:
    config = replace(config, taxonomy_classes=(5, 40), objectives=("unifrac", "faith_pd", "taxonomy"))
    batch = batch_of(random_samples((9, 4), LENGTHS))
    encoder = model_of(config)
    without = encoder.flops(batch).total
    assert without == pytest.approx(counted(encoder, batch), rel=0.01)
    batch = replace(batch, taxa=torch.zeros((batch.n_asvs, 2), dtype=torch.int64))
    assert encoder.flops(batch).total - without == batch.n_asvs * 2 * config.width * 45
    assert encoder.flops(batch).total == pytest.approx(counted(encoder, batch), rel=0.01)


@pytest.mark.parametrize("bases_per_token", [1, 2, 4])
def test_a_backward_pass_is_two_forward_passes(config, batch_of, random_samples, bases_per_token) -> None:
    torch.manual_seed(0)
    config = replace(config, width=64, heads=4, bases_per_token=bases_per_token)
    encoder = build_encoder(config).double()
    batch = batch_of(random_samples((9, 4, 12), LENGTHS), mask_ratio=0.2, hide_ratio=0.3)
    assert 3 * encoder.flops(batch).total == pytest.approx(counted(encoder, batch, backward=True), rel=0.03)


@pytest.mark.parametrize("kind", ["none", "concat", "add", "gmu", "cross-attention", "perceiver"])
def test_a_predictor(config, model_of, batch_of, random_samples, kind) -> None:
    conditioning = ConditioningConfig()
    if kind != "none":
        fusion = FusionConfig(kind, heads=2, latents=6, layers=2)
        categories = (CategoryConfig(5), CategoryConfig(3))
        conditioning = ConditioningConfig(categories, covariates=1, fusion=fusion)
    samples = random_samples((3,) * 40, LENGTHS)
    batch = batch_of(samples)
    if kind != "none":
        codes = torch.randint(0, 3, (40, 2))
        batch = replace(batch, categories=codes, covariates=torch.randn(40, 2, dtype=batch.counts.dtype))
    predictor = model_of(PredictorConfig(config, 3, (64, 32), conditioning=conditioning))
    found = predictor.flops(batch)
    with sdpa_kernel(SDPBackend.MATH):
        encoded = predictor.encoder(batch)
        with FlopCounterMode(display=False) as counter:
            predictor(batch, encoded)
    assert found.head == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert found.total == pytest.approx(counted(predictor, batch), rel=0.01)
    assert found[:2] == predictor.encoder.flops(batch)[:2]
