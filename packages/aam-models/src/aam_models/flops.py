"""Floating-point operations of a forward pass, from a batch's sizes alone: nothing waits for a device.

Matrix products and attention are counted, a multiplication and an addition as two; LayerNorms, activations, softmax
and sums are a few hundredths and are not. Counted is what is computed, padding included: how much of that is padding
is another figure. Axes as in batch.py: B samples, S slots, L tokens, D width, M masked bases.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from aam_models.batch.batch import Batch
from aam_models.encoder.abundance import ConcatenatedAbundance
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.fusion.cross_attention import CrossAttentionFusion
from aam_models.predictor.fusion.perceiver import PerceiverFusion
from aam_models.predictor.predictor import Predictor


class ForwardFlops(NamedTuple):
    """Of the parts that are taken from a cache, or learned, each by itself."""

    asv_level: int
    sample_level: int
    head: int  # of a predictor: fusion and head

    @property
    def total(self) -> int:
        return sum(self)


def forward_flops(model: Encoder | Predictor, batch: Batch) -> ForwardFlops:
    """Of one forward pass of the whole model, with the heads that have something to do in this batch."""
    encoder = model.encoder if isinstance(model, Predictor) else model
    head = _predictor(model, batch.n_samples) if isinstance(model, Predictor) else 0
    return ForwardFlops(_asv_level(encoder, batch), _sample_level(encoder, batch), head)


def transformer_flops(width: int, layers: int, rows: int, positions: int) -> int:
    """Blocks over ``rows`` sequences of ``positions``: per position 24 D^2 in linear maps, 4 Y D in attention."""
    return layers * rows * positions * (24 * width**2 + 4 * positions * width)


def linear_flops(*modules: nn.Module | None) -> int:
    """All linear maps in these modules, applied to one vector each."""
    linears = (
        layer for module in modules if module is not None for layer in module.modules() if isinstance(layer, nn.Linear)
    )
    return sum(2 * layer.in_features * layer.out_features for layer in linears)


def _asv_level(encoder: Encoder, batch: Batch) -> int:
    config, level = encoder.config, encoder.asv_encoder
    total = 0
    for chunk in batch.chunks:
        rows = chunk.stop - chunk.start
        total += transformer_flops(config.width, config.asv_layers, rows, chunk.length)
    total += _pooling(level.pooling, batch.n_encoded_tokens, batch.n_asvs)
    if batch.taxa is not None:
        total += batch.n_asvs * linear_flops(encoder.taxonomy_head)
    return total + batch.masked_rows.shape[0] * linear_flops(level.nucleotide_head)


def _sample_level(encoder: Encoder, batch: Batch) -> int:
    config, level = encoder.config, encoder.sample_encoder
    total = sum(transformer_flops(config.width, config.sample_layers, *group) for group in batch.groups)
    total += _pooling(level.pooling, batch.n_slots, batch.n_samples)
    if level.abundance is not None:
        each = linear_flops(level.abundance.mlp)
        if isinstance(level.abundance, ConcatenatedAbundance):
            each += linear_flops(level.abundance.join)
        total += batch.n_occurrences * each
    total += batch.n_samples * linear_flops(level.size, encoder.faith_pd_head)
    if batch.hidden_counts is not None:
        total += batch.n_slots * linear_flops(encoder.count_head)
    return total


def _pooling(pooling: nn.Module, positions: int, rows: int) -> int:
    score, out = pooling.get_submodule("score"), pooling.get_submodule("out")
    return positions * linear_flops(score) + rows * linear_flops(out)


def _predictor(model: Predictor, samples: int) -> int:
    """Fusion and head; all their linear maps see a sample once, but those of attention over several vectors."""
    fusion, width = model.fusion, model.config.encoder.width
    each = linear_flops(model.head)
    if isinstance(fusion, CrossAttentionFusion | PerceiverFusion):
        each += linear_flops(fusion.tokens)
        keys = 1 + len(fusion.tokens.columns) + (fusion.tokens.covariates is not None)
        if isinstance(fusion, PerceiverFusion):
            latents, layers = fusion.latents.shape[0], len(fusion.reads)
            each += layers * _attend(width, latents, keys) + transformer_flops(width, layers, 1, latents)
            each += linear_flops(fusion.out)
        else:
            each += _attend(width, 1, keys)
    else:
        each += linear_flops(fusion)
    return samples * each


def _attend(width: int, queries: int, keys: int) -> int:
    """Four maps and attention of ``queries`` over ``keys``, see `Attend`."""
    return 4 * width**2 * (queries + keys) + 4 * queries * keys * width
