"""Several bases per token: what a loop over tokens and bases computes, whatever the padding around an ASV."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aam_models.build import build_encoder

BASES_PER_TOKEN = [1, 2, 4]
SAMPLES = [
    {"ACNT": 3.0, "ACGTACGTACG": 1.0, "--TNCGA": 2.0, "-ACGTACGTACGTACGTACG": 5.0},
    {"-----GTAC": 4.0, "---GT": 1.0, "A": 1.0, "ACGTACGTACG": 2.0, "ACGTACGTACGTACGTACGT": 1.0},
]
WAYS = {
    "one chunk": {},
    "chunks of 1": {"chunk_size": 1},
    "chunks of 3": {"chunk_size": 3},
    "by length": {"by_length": True},
    "by length, with masks": {"by_length": True, "always_masked": True},
}


def tokens_by_hand(encoder, codes: list[int], each: int) -> tuple[Tensor, list[int]]:
    """Embeddings [tokens, D] of the tokens that have a base, and the number of each, base by base."""
    alphabet = encoder.alphabet
    embedded, numbers = [], []
    for token in range(-(-len(codes) // each)):
        total, n_bases = torch.zeros(encoder.token_embedding.embedding_dim, dtype=torch.float64), 0
        for place in range(each):
            position = token * each + place
            if position < len(codes) and codes[position] != alphabet.pad:
                total = total + encoder.token_embedding.weight[place * alphabet.size + codes[position]]
                total = total + encoder.site_embedding.weight[position * alphabet.size + codes[position]]
                n_bases += 1
        if n_bases:
            embedded.append(total / each**0.5 + encoder.position_embedding.weight[token])
            numbers.append(token)
    return torch.stack(embedded), numbers


def site_sum_by_hand(encoder, codes: list[int]) -> Tensor:
    sites = [
        encoder.site_embedding.weight[position * encoder.alphabet.size + code]
        for position, code in enumerate(codes)
        if code != encoder.alphabet.pad
    ]
    return torch.stack(sites).sum(dim=0) / (0.3 * len(sites) ** 0.5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("site_sum", [False, True])
@pytest.mark.parametrize("each", BASES_PER_TOKEN)
def test_embeddings_and_logits_are_those_of_a_loop(each, site_sum, way, config, model_of, batch_of) -> None:
    encoder = model_of(replace(config, bases_per_token=each, site_sum=site_sum)).asv_encoder
    batch = batch_of(SAMPLES, mask_ratio=0.4, **WAYS[way])
    output = encoder(batch)
    n_logits = 0
    for row, length in enumerate(batch.lengths.tolist()):
        codes = batch.tokens[row, :length].tolist()
        embedded, numbers = tokens_by_hand(encoder, codes, each)
        transformed = encoder.transformer(embedded[None])
        expected = encoder.pooling(transformed)[0]
        if site_sum:
            expected = expected + site_sum_by_hand(encoder, codes)
        torch.testing.assert_close(output.embeddings[row], expected, rtol=1e-10, atol=1e-12)
        for masked in (batch.masked_rows == row).nonzero()[:, 0].tolist():
            token, place = divmod(int(batch.masked_columns[masked]), each)
            logits = encoder.nucleotide_head(transformed[0, numbers.index(token)])
            expected = logits[4 * place : 4 * place + 4]
            torch.testing.assert_close(output.nucleotide_logits[masked], expected, rtol=1e-10, atol=1e-12)
            n_logits += 1
    assert n_logits == len(batch.masked_rows) == len(output.nucleotide_logits) > 10


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("each", BASES_PER_TOKEN)
def test_chunked_is_whole(each, way, config, model_of, batch_of, outputs_and_gradients, assert_same) -> None:
    encoder = model_of(replace(config, bases_per_token=each, site_sum=True))
    hide = {"mask_ratio": 0.3, "hide_ratio": 0.3}
    whole = outputs_and_gradients(encoder, batch_of(SAMPLES, always_masked=True, **hide))
    chunked = outputs_and_gradients(encoder, batch_of(SAMPLES, **WAYS[way], **hide))
    assert_same(chunked[0], whole[0])
    assert_same(chunked[1], whole[1])


@pytest.mark.parametrize("each", BASES_PER_TOKEN)
def test_recomputation_changes_nothing(each, config, model_of, batch_of, outputs_and_gradients) -> None:
    encoder = model_of(replace(config, bases_per_token=each, site_sum=True)).train()
    batch = batch_of(SAMPLES, chunk_size=3, mask_ratio=0.3, hide_ratio=0.3)
    again = replace(batch, chunks=tuple(chunk._replace(recompute=True) for chunk in batch.chunks))
    kept, recomputed = outputs_and_gradients(encoder, batch), outputs_and_gradients(encoder, again)
    for first, second in zip(kept, recomputed, strict=True):
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("always_masked", [False, True])
@pytest.mark.parametrize("each", [2, 4])
def test_what_lies_where_a_sequence_has_no_base_does_not_matter(
    each, always_masked, config, model_of, batch_of
) -> None:
    encoder = model_of(replace(config, bases_per_token=each, site_sum=True)).asv_encoder
    batch = batch_of(SAMPLES, mask_ratio=0.3, always_masked=always_masked)
    before = encoder(batch)
    tokens = batch.tokens.clone()
    for row, length in enumerate(batch.lengths.tolist()):
        tokens[row, length:] = 3
    with torch.no_grad():
        encoder.site_embedding.weight[:: config.alphabet.size] += 3
        encoder.token_embedding.weight[:: config.alphabet.size] += 3
    after = encoder(replace(batch, tokens=tokens))
    assert torch.equal(after.embeddings, before.embeddings)
    assert torch.equal(after.nucleotide_logits, before.nucleotide_logits)


@pytest.mark.parametrize("each", BASES_PER_TOKEN)
def test_absent_bases_have_no_gradient(each, config, model_of, batch_of, outputs_and_gradients) -> None:
    encoder = model_of(replace(config, bases_per_token=each, site_sum=True))
    _, gradients = outputs_and_gradients(encoder, batch_of(SAMPLES, mask_ratio=0.3, always_masked=True))
    for name in ("token_embedding", "site_embedding"):
        gradient = gradients[f"asv_encoder.{name}.weight"]
        assert (gradient[config.alphabet.pad :: config.alphabet.size] == 0).all()
        assert (gradient != 0).any()


@pytest.mark.parametrize("each", BASES_PER_TOKEN)
def test_other_bases_in_a_token_are_read_where_they_are(each, config, model_of, batch_of) -> None:
    """Two neighbouring bases in the other order are another sequence, also within a token."""
    encoder = model_of(replace(config, bases_per_token=each)).asv_encoder
    embeddings = encoder(batch_of([{"ACGTACG": 1.0, "ACTGACG": 1.0, "CAGTACG": 1.0, "ACGTAGC": 1.0}])).embeddings
    assert torch.pdist(embeddings).min() > 1e-3


@pytest.mark.parametrize("each", [2, 4])
def test_logits_without_masked_bases(each, config, model_of, batch_of) -> None:
    encoder, batch = model_of(replace(config, bases_per_token=each)).asv_encoder, batch_of(SAMPLES)
    assert encoder.eval()(batch).nucleotide_logits is None
    logits = encoder.train()(batch).nucleotide_logits
    assert logits.shape == (0, 4)
    logits.sum().backward()
    assert (encoder.nucleotide_head.weight.grad == 0).all()


@pytest.mark.parametrize("each", [2, 4])
def test_tokens_start_with_the_variance_of_single_bases(each, config, batch_of) -> None:
    """The first block must not drown the bases, nor they its output."""
    spread = {}
    for number in (1, each):
        torch.manual_seed(0)
        encoder = build_encoder(replace(config, bases_per_token=number, width=96)).double().asv_encoder
        with torch.no_grad():
            spread[number] = float(tokens_by_hand(encoder, [5, *[1, 2, 3, 4] * 5][: 5 * each], number)[0].std())
    assert spread[each] == pytest.approx(spread[1], rel=0.1)


@pytest.mark.parametrize("each", BASES_PER_TOKEN)
def test_the_size_of_the_weights(each, config) -> None:
    encoder = build_encoder(replace(config, bases_per_token=each)).asv_encoder
    assert encoder.token_embedding.weight.shape == (8 * each, 12)
    assert encoder.position_embedding.weight.shape == ({1: 21, 2: 11, 4: 6}[each], 12)
    assert encoder.site_embedding.weight.shape == (8 * 21, 12)
    assert encoder.nucleotide_head.weight.shape == (4 * each, 12)


@pytest.mark.parametrize("each", [2, 4])
def test_memory_is_that_of_fewer_tokens(each, config) -> None:
    whole = build_encoder(config).asv_encoder.memory_prior(frozen=False)
    fewer = build_encoder(replace(config, bases_per_token=each)).asv_encoder.memory_prior(frozen=False)
    assert fewer.kept == whole.kept / each
