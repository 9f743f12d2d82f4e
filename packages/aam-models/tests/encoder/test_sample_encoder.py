"""The sample level: slots, abundance, and that a sample is a set."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from aam_models.batch.layout import from_slots, sample_sums, to_slots
from aam_models.encoder.abundance import ModulatedAbundance, standardized_log_abundance
from aam_models.encoder.sample_encoder import SizeEmbedding

LENGTHS = (6, 9, 14)


def test_slots_hold_the_occurrences_of_their_sample(batch_of) -> None:
    batch = batch_of([{"ACGT": 1.0, "AAAA": 2.0, "CCCC": 3.0}, {"GGGG": 4.0}], spare_slots=1)
    (counts,), (mask,) = to_slots(batch.counts, batch), batch.slot_masks()
    assert counts.tolist() == [[1, 2, 3, 0], [4, 0, 0, 0]]
    assert mask.tolist() == [[True, True, True, False], [True, False, False, False]]
    assert from_slots([counts], batch).tolist() == [1, 2, 3, 4]
    assert sample_sums(batch.counts, batch).tolist() == [6, 4]
    rows = torch.arange(8.0, dtype=torch.float64).view(4, 2).requires_grad_()
    (laid_out,) = to_slots(rows, batch)
    assert laid_out.tolist() == [[[0, 1], [2, 3], [4, 5], [0, 0]], [[6, 7], [0, 0], [0, 0], [0, 0]]]
    laid_out.sum().backward()
    assert torch.equal(rows.grad, torch.ones_like(rows))


def test_abundance_is_the_standardized_log_of_the_share(batch_of) -> None:
    batch = batch_of([{"ACGT": 1.0, "AAAA": 3.0}, {"GGGG": 5000.0}], spare_slots=1)
    by_hand = [(math.log(1 / 4) + 5) / 2, (math.log(3 / 4) + 5) / 2, 2.5]
    torch.testing.assert_close(
        standardized_log_abundance(batch), torch.tensor(by_hand, dtype=torch.float64), rtol=1e-10, atol=1e-12
    )


def test_order_of_asvs_in_a_sample_does_not_matter(
    config, model_of, batch_of, random_samples, outputs_and_gradients, assert_same
) -> None:
    encoder = model_of(config)
    samples = random_samples((5, 3, 8), LENGTHS)
    turned = [dict(reversed(sample.items())) for sample in samples]
    outputs, gradients = outputs_and_gradients(encoder, batch_of(samples, hide_ratio=0.3, mask_ratio=0.2))
    other, other_gradients = outputs_and_gradients(encoder, batch_of(turned, hide_ratio=0.3, mask_ratio=0.2))
    assert not torch.equal(other["counts"], outputs["counts"])
    outputs["counts"], other["counts"] = outputs["counts"].sort().values, other["counts"].sort().values
    assert_same(other, outputs)
    assert_same(other_gradients, gradients)


def test_order_of_samples_in_a_batch_does_not_matter(config, model_of, batch_of, random_samples) -> None:
    encoder = model_of(config)
    samples = random_samples((5, 3, 8), LENGTHS)
    embeddings = encoder(batch_of(samples)).sample_embeddings
    turned = encoder(batch_of(samples[::-1])).sample_embeddings
    torch.testing.assert_close(turned.flip(0), embeddings, rtol=1e-10, atol=1e-12)


def test_a_sample_alone_is_the_sample_among_longer_ones(config, model_of, batch_of, random_samples) -> None:
    encoder = model_of(config)
    samples = random_samples((2, 7, 1, 9), LENGTHS)
    together = encoder(batch_of(samples)).sample_embeddings
    alone = torch.cat([encoder(batch_of([sample])).sample_embeddings for sample in samples])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


def test_spare_slots_do_not_matter(
    config, model_of, batch_of, random_samples, outputs_and_gradients, assert_same
) -> None:
    encoder = model_of(config)
    samples = random_samples((5, 3), LENGTHS)
    tight = outputs_and_gradients(encoder, batch_of(samples, hide_ratio=0.3))
    wide = outputs_and_gradients(encoder, batch_of(samples, hide_ratio=0.3, spare_slots=4))
    assert_same(wide[0], tight[0])
    assert_same(wide[1], tight[1])


@pytest.mark.parametrize("n_groups", [2, 3, 4])
def test_samples_in_groups_are_those_padded_to_the_longest(
    n_groups, config, model_of, batch_of, random_samples, outputs_and_gradients, assert_same
) -> None:
    encoder = model_of(replace(config, size_embedding=True))
    samples = random_samples((5, 1, 9, 3, 9, 2), LENGTHS)
    one = batch_of(samples, hide_ratio=0.3, mask_ratio=0.2)
    several = batch_of(samples, hide_ratio=0.3, mask_ratio=0.2, n_groups=n_groups)
    assert several.n_slots < one.n_slots == 6 * 9
    assert len(several.groups) == n_groups
    expected, found = outputs_and_gradients(encoder, one), outputs_and_gradients(encoder, several)
    assert_same(found[0], expected[0])
    assert_same(found[1], expected[1])


def test_only_shares_of_the_counts_matter(config, model_of, batch_of, random_samples) -> None:
    encoder = model_of(config)
    samples = random_samples((5, 3), LENGTHS)
    batch = batch_of(samples)
    tenfold = replace(batch, counts=10 * batch.counts)
    changed = replace(batch, counts=torch.where(torch.arange(8) == 0, 500 + batch.counts, batch.counts))
    embeddings = encoder(batch).sample_embeddings
    torch.testing.assert_close(encoder(tenfold).sample_embeddings, embeddings, rtol=1e-10, atol=1e-12)
    differs = (encoder(changed).sample_embeddings - embeddings).abs().amax(dim=1) > 1e-6
    assert differs.tolist() == [True, False]


def test_without_count_embedding_counts_do_not_matter(config, model_of, batch_of, random_samples) -> None:
    encoder = model_of(replace(config, count_embedding=False))
    assert encoder.sample_encoder.abundance is None
    batch = batch_of(random_samples((5, 3), LENGTHS))
    other = replace(batch, counts=batch.counts.flip(0))
    assert torch.equal(encoder(other).sample_embeddings, encoder(batch).sample_embeddings)


def test_hidden_counts_are_replaced_by_one_learned_vector(config, model_of, batch_of) -> None:
    abundance = model_of(config).sample_encoder.abundance
    log_abundance = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    hidden = torch.tensor([[False, True, False]])
    embedded = abundance.embed(log_abundance, hidden)
    assert torch.equal(embedded[0, 1], abundance.hidden)
    shown = abundance.embed(log_abundance, None)
    assert torch.equal(embedded[0, [0, 2]], shown[0, [0, 2]])


def test_three_ways_to_tell_abundance(config, model_of) -> None:
    x = torch.randn(2, 3, config.width, dtype=torch.float64)
    log_abundance = torch.randn(2, 3, dtype=torch.float64)

    def built(method: str):
        return model_of(replace(config, count_embedding_method=method)).sample_encoder.abundance

    added = built("add")
    assert torch.allclose(added(x, log_abundance, None), x + added.mlp(log_abundance[..., None]))
    joined = built("concat")
    both = torch.cat([x, joined.mlp(log_abundance[..., None])], dim=2)
    assert torch.allclose(joined(x, log_abundance, None), both @ joined.join.weight.T + joined.join.bias)
    film = ModulatedAbundance(config.width, can_hide=True).double()
    assert torch.equal(film(x, log_abundance, None), x)  # the identity at the start
    torch.nn.init.normal_(film.mlp[-1].weight)
    gamma, beta = film.mlp(log_abundance[..., None]).split(config.width, dim=2)
    assert torch.allclose(film(x, log_abundance, None), x + gamma * x + beta)
    assert model_of(replace(config, count_embedding=False)).sample_encoder.abundance is None


@pytest.mark.parametrize("method", ["add", "concat", "film"])
@pytest.mark.parametrize("hidden", [(True, True, False, False), (True,) * 4])
def test_the_model_cannot_see_hidden_counts(hidden, method, config, model_of, batch_of) -> None:
    """Neither hidden counts nor their sum change what the model returns."""
    encoder = model_of(replace(config, count_embedding_method=method))
    if method == "film":
        torch.nn.init.normal_(encoder.sample_encoder.abundance.mlp[-1].weight)
    batch = batch_of([{"ACGT": 40.0, "AAAA": 2.0, "CCCC": 30.0, "GGGG": 28.0}])
    batch = replace(batch, hidden_counts=torch.tensor(hidden))
    other = replace(batch, counts=torch.tensor([1.0, 500.0, 30.0, 28.0], dtype=torch.float64))
    assert not torch.equal(
        encoder(replace(other, hidden_counts=None)).sample_embeddings,
        encoder(replace(batch, hidden_counts=None)).sample_embeddings,
    )
    before, after = encoder(batch), encoder(other)
    assert torch.equal(after.sample_embeddings, before.sample_embeddings)
    assert torch.equal(after.predictions["counts"], before.predictions["counts"])


@pytest.mark.parametrize(
    ("hidden", "shares"),
    [
        ((True, True, False, False), (40 / 58, 2 / 58, 30 / 58, 28 / 58)),
        ((False, True, False, False), (40 / 98, 2 / 98, 30 / 98, 28 / 98)),
        ((False,) * 4, (0.4, 0.02, 0.3, 0.28)),
        ((True,) * 4, (0.4, 0.02, 0.3, 0.28)),  # nothing is shown, so nothing can leak
    ],
)
def test_shares_are_of_the_shown_reads(hidden, shares, batch_of) -> None:
    batch = batch_of([{"ACGT": 40.0, "AAAA": 2.0, "CCCC": 30.0, "GGGG": 28.0}, {"ACGT": 7.0}])
    found = standardized_log_abundance(replace(batch, hidden_counts=torch.tensor([*hidden, False])))
    expected = [(math.log(share) + 5) / 2 for share in (*shares, 1.0)]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_the_number_of_asvs_is_seen_where_it_is_asked_for(config, model_of, batch_of) -> None:
    """A sample and its double, twice the ASVs with the same sequences' embeddings, look alike to a mean."""
    batch = batch_of([{"ACGT": 10.0, "AAAA": 10.0}])
    without = model_of(config)
    assert without.sample_encoder.size is None
    seeing = model_of(replace(config, size_embedding=True))
    size = seeing.sample_encoder.size
    fresh = SizeEmbedding(config.width).double()
    assert torch.equal(fresh(batch), torch.zeros(1, config.width, dtype=torch.float64))  # nothing at the start
    torch.nn.init.normal_(size.mlp[-1].weight)
    by_hand = size.mlp(torch.tensor([[(math.log(2) - 4.5) / 1.5]], dtype=torch.float64))
    assert torch.allclose(size(batch), by_hand)
