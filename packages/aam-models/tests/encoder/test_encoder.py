"""The whole encoder: each distinct ASV once, heads on and off, gradients everywhere, the same bits again."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from aam_models.batch.batch import AsvOutput, Batch, Chunk
from aam_models.build import build_encoder
from aam_models.errors import ModelError

LENGTHS = (6, 9, 14)


def every_occurrence(batch: Batch) -> Batch:
    """The same samples with nothing shared: every occurrence has its own row of tokens and its own chunk."""
    lengths = batch.lengths[batch.asv_index]
    return replace(
        batch,
        tokens=batch.tokens[batch.asv_index],
        lengths=lengths,
        asv_index=torch.arange(batch.n_occurrences),
        asv_rows=batch.asv_rows[batch.asv_index],
        chunks=tuple(Chunk(i, i + 1, int(length), True, 0, 0) for i, length in enumerate(lengths)),
    )


def test_each_asv_once_is_every_occurrence_one_by_one(
    config, model_of, batch_of, random_samples, outputs_and_gradients, assert_same
) -> None:
    encoder = model_of(config)
    batch = batch_of(random_samples((9, 12, 10, 7), LENGTHS), hide_ratio=0.2)
    assert batch.n_occurrences > 1.5 * batch.n_asvs
    once, once_gradients = outputs_and_gradients(encoder, batch)
    each, each_gradients = outputs_and_gradients(encoder, every_occurrence(batch))
    once["asvs"] = once["asvs"][batch.asv_index]
    assert_same(each, once)
    assert_same(each_gradients, once_gradients)


def test_known_asv_embeddings_replace_the_asv_level(config, model_of, batch_of, random_samples) -> None:
    encoder = model_of(config)
    batch = batch_of(random_samples((5, 3), LENGTHS))
    asvs = encoder.asv_encoder(batch)
    assert torch.equal(encoder(batch, asvs).sample_embeddings, encoder(batch).sample_embeddings)
    zero = encoder(batch, AsvOutput(torch.zeros_like(asvs.embeddings), None))
    assert not torch.equal(zero.sample_embeddings, encoder(batch).sample_embeddings)
    assert "nucleotides" not in zero.predictions


def test_heads_that_are_off_do_not_exist(config, model_of, batch_of, random_samples) -> None:
    encoder = model_of(replace(config, objectives=(), taxonomy_classes=()))
    assert not [name for name, _ in encoder.named_parameters() if "head" in name]
    encoded = encoder(batch_of(random_samples((5, 3), LENGTHS), mask_ratio=0.3, hide_ratio=0.3))
    assert encoded.predictions == {}


@pytest.mark.parametrize("objective", ["unifrac", "faith_pd", "nucleotides", "counts"])
def test_one_head_off_leaves_the_others(objective, config, model_of, batch_of, random_samples) -> None:
    others = tuple(name for name in config.objectives if name != objective)
    encoder = model_of(replace(config, objectives=others))
    encoded = encoder(batch_of(random_samples((5, 3), LENGTHS), mask_ratio=0.3, hide_ratio=0.3))
    assert {*encoded.predictions, "unifrac"} - {objective} == set(others)
    assert {name for name in config.objectives if encoder.head(name) is None} == {objective}


def test_an_unknown_objective_is_an_error(config, model_of) -> None:
    with pytest.raises(ModelError, match="unknown pretraining objectives shannon; known: nucleotides, unifrac"):
        model_of(replace(config, objectives=("unifrac", "shannon")))


def test_hidden_abundances_are_predicted_only_where_some_are_hidden(config, model_of, batch_of, random_samples) -> None:
    encoder = model_of(config)
    samples = random_samples((5, 3), LENGTHS)
    assert "counts" not in encoder(batch_of(samples)).predictions
    assert encoder(batch_of(samples, hide_ratio=0.3)).predictions["counts"].shape == (8,)


def test_gradients_reach_every_parameter(config, batch_of, random_samples, outputs_and_gradients) -> None:
    """Also in an encoder as it is before its first step, where some weights are zero."""
    torch.manual_seed(0)
    encoder = build_encoder(config).double()
    batch = batch_of(random_samples((9, 12, 10), LENGTHS), mask_ratio=0.3, hide_ratio=0.3)
    _, gradients = outputs_and_gradients(encoder, batch)
    parameters = dict(encoder.named_parameters())
    assert gradients.keys() == parameters.keys()
    # rounding leaves 1e-16 where a parameter has no influence
    assert [name for name, gradient in gradients.items() if gradient.abs().max() < 1e-9] == []


def test_the_same_step_has_the_same_bits_on_two_threads(
    config, batch_of, random_samples, outputs_and_gradients
) -> None:
    """Gradients of gathered rows are summed in a fixed order; big enough for every kernel to use both threads."""
    torch.manual_seed(0)
    encoder = build_encoder(replace(config, width=96, asv_layers=1, sample_layers=1))
    samples = random_samples((150, 120, 180, 160), (9, 10))
    batch = batch_of(samples, mask_ratio=0.2, hide_ratio=0.2, chunk_size=128, dtype=torch.float32)
    assert batch.n_occurrences * 96 > 32_768  # from here on, indexing adds with two threads
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        outputs, gradients = outputs_and_gradients(encoder, batch)
        for _ in range(3):
            again, gradients_again = outputs_and_gradients(encoder, batch)
            assert [name for name in outputs if not torch.equal(again[name], outputs[name])] == []
            assert [name for name in gradients if not torch.equal(gradients_again[name], gradients[name])] == []
    finally:
        torch.set_num_threads(before)


def test_a_batch_moves_with_all_its_tensors(batch_of, random_samples) -> None:
    batch = batch_of(random_samples((5, 3), LENGTHS), hide_ratio=0.3)
    moved = batch.to(torch.device("meta"))
    for field in fields(Batch):
        value, there = getattr(batch, field.name), getattr(moved, field.name)
        if isinstance(value, torch.Tensor):
            assert (there.device.type, there.shape, there.dtype) == ("meta", value.shape, value.dtype)
        else:
            assert there is value
    assert (moved.n_samples, moved.n_occurrences, moved.n_asvs) == (2, 8, batch.tokens.shape[0])


def test_taxa_are_predicted_from_the_asv_alone_where_a_batch_asks_for_them(
    config, model_of, batch_of, random_samples
) -> None:
    encoder = model_of(replace(config, taxonomy_classes=(2, 5), objectives=("taxonomy",)))
    batch = batch_of(random_samples((5, 3), LENGTHS))
    assert "taxonomy" not in encoder(batch).predictions
    asked = encoder(replace(batch, taxa=torch.zeros(batch.n_asvs, 2, dtype=torch.int64)))
    assert asked.predictions["taxonomy"].shape == (batch.n_asvs, 7)
    weight, bias = encoder.taxonomy_head.weight, encoder.taxonomy_head.bias
    assert torch.allclose(asked.predictions["taxonomy"], asked.asv_embeddings @ weight.T + bias)
