"""Losses against plain formulas in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from aam_data.preprocessing.dataset import Sample
from aam_data.study.study import Study
from aam_models.batch.batch import Batch
from aam_models.encoder.distance_head import DistanceHead
from aam_train.data.collate import Collator
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.objectives.faith_pd import count_known, squared_errors
from aam_train.objectives.hidden_counts import count_hidden, hidden_count_loss
from aam_train.objectives.masked_bases import count_masked, nucleotide_loss
from aam_train.objectives.unifrac import count_pairs, own_pairs, pair_indices, pair_loss

NAN = math.nan


@pytest.fixture
def batch(study: Study) -> Batch:
    """8 samples with masked bases and hidden counts; counts in float64."""
    samples = []
    for row in range(8):
        features, counts = study.table.data.row(row)
        samples.append(Sample(row, features.astype(np.int64), counts.astype(np.float32), 0.0, 0))
    made = Collator(study, max_bp=150, chunk_size=0, seed=1).collate(samples, 0, (MaskBases(0.2), HideCounts(0.3)))
    return replace(made, counts=made.counts.double())


@pytest.fixture
def head() -> DistanceHead:
    head = DistanceHead().double()
    with torch.no_grad():
        head.slope.fill_(0.3)
        head.offset.fill_(-0.2)
        head.spread.fill_(0.07)
    return head


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


def test_pairs_are_counted_once() -> None:
    i, j = pair_indices(4, torch.device("cpu"))
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert [len(index) for index in pair_indices(1, torch.device("cpu"))] == [0, 0]


@pytest.mark.parametrize("sizes", [(1,), (2,), (5,), (6,), (1, 1), (3, 1, 2), (2, 0, 7), (4, 4, 4, 5)])
def test_every_pair_of_all_processes_is_computed_once(sizes: tuple[int, ...]) -> None:
    n = sum(sizes)
    true = torch.rand(n, n)
    true = true + true.T
    found, total = [], 0
    for rank, size in enumerate(sizes):
        first = sum(sizes[:rank])
        own, other, counts = own_pairs(size, n, first, torch.device("cpu"))
        pairs = [(first + i, j) for i, j, c in zip(own.tolist(), other.tolist(), counts.tolist(), strict=True) if c]
        found += [tuple(sorted(pair)) for pair in pairs]
        total += count_pairs(true[first : first + size], first)
        # no process has more than its share, by a pair a sample
        assert abs(len(pairs) - size * (n - 1) / 2) <= size / 2
    expected = [(i, j) for i in range(n) for j in range(i + 1, n)]
    assert sorted(found) == expected
    assert total == len(expected)


def test_pair_loss_is_the_squared_error_in_spreads(head: DistanceHead) -> None:
    embeddings = random(5, 3)
    true = torch.rand(5, 5, dtype=torch.float64)
    true = true + true.T
    true[1, 3] = true[3, 1] = NAN
    expected, count = 0.0, 0
    slope = 0.05 + math.exp(0.3)
    for i in range(5):
        for j in range(i + 1, 5):
            if not math.isnan(true[i, j]):
                square = sum((embeddings[i, d] - embeddings[j, d]).item() ** 2 for d in range(3))
                distance = 1 / (1 + math.exp(-(slope / 2 * math.log(square + 1e-6) - 0.2)))
                expected += ((distance - true[i, j].item()) / 0.07) ** 2
                count += 1
    total = pair_loss(head, embeddings, true)
    assert count_pairs(true) == count == 9
    assert total.item() == pytest.approx(expected, rel=1e-12)


def test_unknown_and_equal_pairs_leave_gradients_finite(head: DistanceHead) -> None:
    embeddings = random(4, 3)
    with torch.no_grad():
        embeddings[1] = embeddings[0]
    true = torch.full((4, 4), 0.5, dtype=torch.float64)
    true[2, :] = true[:, 2] = NAN
    pair_loss(head, embeddings, true).backward()
    assert count_pairs(true) == 3
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()
    assert (embeddings.grad[2] == 0).all()


def test_no_pair_is_a_loss_of_zero(head: DistanceHead) -> None:
    embeddings = random(1, 3)
    total = pair_loss(head, embeddings, torch.zeros(1, 1, dtype=torch.float64))
    total.backward()
    assert (total.item(), count_pairs(torch.zeros(1, 1))) == (0, 0)


def test_nucleotide_loss_is_that_of_encoding_every_occurrence(batch: Batch) -> None:
    logits = random(len(batch.masked_rows), 4)
    terms = []
    for unique in batch.asv_index.tolist():  # every occurrence by itself
        for m in (batch.masked_rows == unique).nonzero()[:, 0].tolist():
            scores = [math.exp(value) for value in logits[m].tolist()]
            terms.append(-math.log(scores[int(batch.masked_bases[m])] / sum(scores)))
    total = nucleotide_loss(logits, batch)
    assert len(terms) > len(batch.masked_rows)
    assert count_masked(batch) == len(terms)
    assert total.item() == pytest.approx(sum(terms), rel=1e-12)


def test_hidden_counts_are_judged_by_the_log_of_their_ratio_to_what_is_shown(batch: Batch) -> None:
    predicted = random(batch.n_occurrences)
    assert batch.hidden_counts is not None
    expected, count = 0.0, 0
    for b in range(batch.n_samples):
        start, stop = int(batch.sample_ptr[b]), int(batch.sample_ptr[b + 1])
        shown = batch.counts[start:stop][~batch.hidden_counts[start:stop]].sum().item()
        assert shown > 0
        for n in range(start, stop):
            if batch.hidden_counts[n]:
                true = (math.log(batch.counts[n].item() / shown) + 5) / 2
                expected += (predicted[n].item() - true) ** 2
                count += 1
    total = hidden_count_loss(predicted, batch)
    assert count_hidden(batch) == count > 0
    assert total.item() == pytest.approx(expected, rel=1e-12)
    total.backward()
    assert predicted.grad is not None
    assert int((predicted.grad != 0).sum()) == count


def test_squared_errors_are_those_of_known_values() -> None:
    predicted = torch.tensor([0.2, 3.0, -4.0], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0.0, NAN, -2.5], dtype=torch.float64)
    total = squared_errors(predicted, target)
    assert count_known(target) == 2
    assert total.item() == pytest.approx(0.2**2 + 1.5**2, rel=1e-12)
    total.backward()
    assert predicted.grad is not None
    assert predicted.grad.tolist() == pytest.approx([0.4, 0.0, -3.0])
