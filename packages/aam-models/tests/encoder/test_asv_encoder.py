"""The ASV level: however the distinct ASVs are cut into chunks, the numbers are the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aam_models.build import build_encoder

MIXED, EQUAL = (8, 11, 15, 20), (14,)
WAYS = {
    "chunks of 1": {"chunk_size": 1},
    "chunks of 3": {"chunk_size": 3},
    "by length": {"by_length": True},
    "by length, chunks of 2": {"by_length": True, "chunk_size": 2},
    "by length, with masks": {"by_length": True, "always_masked": True},
}


@pytest.mark.parametrize("lengths", [MIXED, EQUAL], ids=["mixed", "equal"])
@pytest.mark.parametrize("way", WAYS)
def test_chunked_is_whole(
    way, lengths, config, model_of, batch_of, random_samples, outputs_and_gradients, assert_same
) -> None:
    encoder = model_of(config)
    samples = random_samples((5, 3, 8), lengths)
    hide = {"mask_ratio": 0.3, "hide_ratio": 0.3}
    whole = outputs_and_gradients(encoder, batch_of(samples, always_masked=True, **hide))
    chunked = outputs_and_gradients(encoder, batch_of(samples, **WAYS[way], **hide))
    assert whole[0]["nucleotides"].shape[0] > 10
    assert_same(chunked[0], whole[0])
    assert_same(chunked[1], whole[1])


def test_an_asv_alone_is_its_transformed_tokens_pooled(config, model_of, batch_of) -> None:
    encoder = model_of(config).asv_encoder
    tokens = torch.tensor([5, 1, 2, 7, 4])  # START A C N T
    sites = tokens + config.alphabet.size * torch.arange(5)
    x = encoder.token_embedding.weight[tokens] + encoder.position_embedding.weight[:5]
    x = x + encoder.site_embedding.weight[sites]
    expected = encoder.pooling(encoder.transformer(x[None]))
    alone = encoder(batch_of([{"ACNT": 1.0}])).embeddings
    beside_longer = encoder(batch_of([{"ACNT": 1.0, "ACGTACGTACGT": 2.0}])).embeddings[:1]
    torch.testing.assert_close(alone, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(beside_longer, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("beside", [{}, {"ACGTACGTACGT": 2.0}], ids=["alone", "beside a longer one"])
def test_the_sum_of_sites_is_added_with_unit_variance(beside, config, model_of, batch_of) -> None:
    encoder = model_of(replace(config, site_sum=True)).asv_encoder
    batch = batch_of([{"ACNT": 1.0} | beside])
    with_sum = encoder(batch).embeddings[0]
    encoder.site_sum = False
    sites = torch.tensor([5, 1, 2, 7, 4]) + config.alphabet.size * torch.arange(5)
    total = encoder.site_embedding.weight[sites].sum(dim=0) / (0.3 * 5**0.5)
    torch.testing.assert_close(with_sum, encoder(batch).embeddings[0] + total, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("lengths", [MIXED, EQUAL], ids=["mixed", "equal"])
def test_sums_do_not_depend_on_chunks(
    lengths, config, model_of, batch_of, random_samples, outputs_and_gradients, assert_same
) -> None:
    encoder, samples = model_of(replace(config, site_sum=True)), random_samples((5, 3, 8), lengths)
    whole = outputs_and_gradients(encoder, batch_of(samples, always_masked=True))
    chunked = outputs_and_gradients(encoder, batch_of(samples, by_length=True, chunk_size=2))
    assert_same(chunked[0], whole[0])
    assert_same(chunked[1], whole[1])


def test_relatives_differ_from_the_start(config, model_of, batch_of, random_samples) -> None:
    """Sequences that differ at a tenth of their positions: the spread of embeddings over the size of their mean."""
    ratio = {}
    for site_sum in (False, True):
        torch.manual_seed(0)
        encoder = build_encoder(replace(config, site_sum=site_sum, max_bp=100)).double().asv_encoder
        generator = np.random.default_rng(0)
        ancestor = generator.choice(list("ACGT"), 100)
        kin = {
            "".join(np.where(generator.random(100) < 0.1, generator.permutation(ancestor), ancestor)): 1.0
            for _ in range(40)
        }
        with torch.no_grad():
            embeddings = encoder(batch_of([kin])).embeddings
        ratio[site_sum] = float((embeddings - embeddings.mean(0)).norm(dim=1).mean() / embeddings.mean(0).norm())
    assert ratio[True] > 2 * ratio[False]


def test_codes_behind_the_end_of_a_sequence_do_not_matter(config, model_of, batch_of) -> None:
    encoder = model_of(config).asv_encoder
    batch = batch_of([{"ACNT": 1.0, "ACGTACGTACGT": 2.0}])
    tokens = batch.tokens.clone()
    tokens[0, 5:] = 3
    assert torch.equal(encoder(replace(batch, tokens=tokens)).embeddings, encoder(batch).embeddings)


def test_logits_are_those_of_the_masked_positions_in_order(config, model_of, batch_of, random_samples) -> None:
    encoder = model_of(config).asv_encoder
    batch = batch_of(random_samples((6, 6), MIXED), mask_ratio=0.4, chunk_size=2)
    logits = encoder(batch).nucleotide_logits
    assert logits.shape == (len(batch.masked_rows), 4)
    for m, (row, column) in enumerate(zip(batch.masked_rows, batch.masked_columns, strict=True)):
        length = int(batch.lengths[row])
        tokens = batch.tokens[row, :length].long()
        assert tokens[column] == config.alphabet.mask
        sites = encoder.site_embedding(tokens + config.alphabet.size * torch.arange(length))
        x = encoder.token_embedding(tokens) + encoder.position_embedding.weight[:length] + sites
        expected = encoder.nucleotide_head(encoder.transformer(x[None])[0, column])
        torch.testing.assert_close(logits[m], expected, rtol=1e-10, atol=1e-12)


def test_without_masked_bases_there_are_no_logits(config, model_of, batch_of, random_samples) -> None:
    encoder, batch = model_of(config).asv_encoder, batch_of(random_samples((4,), EQUAL))
    assert encoder.eval()(batch).nucleotide_logits is None
    # in training none of them, with a gradient of 0: other processes may have some
    logits = encoder.train()(batch).nucleotide_logits
    assert logits.shape == (0, 4)
    logits.sum().backward()
    assert (encoder.nucleotide_head.weight.grad == 0).all()


def test_chunks_without_masked_bases_are_left_out(config, model_of, batch_of) -> None:
    """An ASV of ambiguous bases alone has nothing to mask; its chunk has no logits, the others have theirs."""
    encoder = model_of(config).asv_encoder
    batch = batch_of([{"NNNN": 1.0, "ACGTAC": 2.0, "ACGTACGTAC": 3.0}], mask_ratio=0.5, chunk_size=1)
    assert [chunk.last_masked - chunk.first_masked for chunk in batch.chunks] == [0, 3, 5]
    assert encoder(batch).nucleotide_logits.shape == (8, 4)


def test_a_new_encoder_separates_asvs(config, batch_of, random_samples) -> None:
    from aam_models.build import build_encoder

    torch.manual_seed(0)
    samples = random_samples((30,), (20,), seed=5)
    embeddings = build_encoder(config).asv_encoder(batch_of(samples)).embeddings
    distances = torch.cdist(embeddings, embeddings) + torch.eye(len(embeddings))
    assert distances.min() > 1e-3 * embeddings.norm(dim=1).mean()


@pytest.mark.parametrize("site_sum", [False, True])
def test_positions_in_front_of_the_first_base_are_as_if_absent(site_sum, config, model_of, batch_of) -> None:
    """The bases keep their positions; what the missing ones are embedded as changes nothing."""
    encoder = model_of(replace(config, site_sum=site_sum)).asv_encoder
    tokens, positions = torch.tensor([5, 4, 7, 2]), torch.tensor([0, 3, 4, 5])  # START - - T N C
    sites = encoder.site_embedding.weight[tokens + config.alphabet.size * positions]
    x = encoder.token_embedding.weight[tokens] + encoder.position_embedding.weight[positions] + sites
    expected = encoder.pooling(encoder.transformer(x[None]))
    if site_sum:
        expected = expected + sites.sum(dim=0) / (0.3 * 4**0.5)
    batch = batch_of([{"--TNC": 1.0}, {"ACGTA": 1.0, "GGGTA": 2.0}], mask_ratio=0.0)
    row = int((batch.tokens[:, 1] == 0).nonzero())
    torch.testing.assert_close(encoder(batch).embeddings[row : row + 1], expected, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        encoder.token_embedding.weight[0] += 3
    torch.testing.assert_close(encoder(batch).embeddings[row : row + 1], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_chunked_is_whole_with_missing_bases_in_front(
    way, config, model_of, batch_of, outputs_and_gradients, assert_same
) -> None:
    encoder = model_of(config)
    samples = [{"--ACGTACGT": 3.0, "ACGTACGTAC": 1.0, "-CCGTACGTA": 2.0}, {"GTACGTACGT": 4.0, "---GT": 1.0, "ACG": 2.0}]
    hide = {"mask_ratio": 0.3, "hide_ratio": 0.3}
    whole = outputs_and_gradients(encoder, batch_of(samples, always_masked=True, **hide))
    chunked = outputs_and_gradients(encoder, batch_of(samples, **WAYS[way], **hide))
    assert_same(chunked[0], whole[0])
    assert_same(chunked[1], whole[1])
