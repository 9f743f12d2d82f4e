"""Distances: the formula, its limits, its gradient where samples are equal, and calibration."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aam_models.encoder.distance_head import DistanceHead
from aam_models.errors import ModelError

WIDTH = 5


def head_of(slope: float = 0.3, offset: float = -1.2) -> DistanceHead:
    head = DistanceHead().double()
    with torch.no_grad():
        head.slope.fill_(slope)
        head.offset.fill_(offset)
    return head


def pairs_at(distances: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of embeddings [P, D] at these Euclidean distances."""
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(len(distances), WIDTH, generator=generator, dtype=torch.float64)
    direction = torch.nn.functional.normalize(torch.randn(left.shape, generator=generator, dtype=torch.float64), dim=1)
    return left, left + distances[:, None] * direction


def some_pairs(n: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings of pairs and true distances in a narrow band, as UniFrac has them."""
    generator = torch.Generator().manual_seed(1)
    left, right = torch.randn(2, n, WIDTH, generator=generator, dtype=torch.float64)
    return left, right, 0.68 + 0.08 * torch.randn(n, generator=generator, dtype=torch.float64).clamp(-3, 3)


def test_distance_is_a_power_law_that_saturates() -> None:
    head = head_of()
    d = torch.tensor([0.01, 0.5, 1.0, 3.0, 40.0], dtype=torch.float64)
    a, b = 0.05 + torch.tensor(0.3, dtype=torch.float64).exp(), torch.tensor(-1.2, dtype=torch.float64)
    x = (d.square() + 1e-6).sqrt() ** a  # d^a, with the small constant that keeps it smooth at 0
    torch.testing.assert_close(head(*pairs_at(d)), x / (x + (-b).exp()), rtol=1e-10, atol=0)


def test_distance_is_between_0_and_1_symmetric_and_grows() -> None:
    d = torch.logspace(-4, 4, 200, dtype=torch.float64)
    for slope, offset in ((-20.0, 0.0), (0.0, 0.0), (1.0, -3.0)):
        left, right = pairs_at(d)
        distances = head_of(slope, offset)(left, right)
        assert ((distances > 0) & (distances < 1)).all()
        assert (distances.diff() > 0).all()
        assert torch.equal(head_of(slope, offset)(right, left), distances)


def test_equal_samples_have_a_small_distance_and_a_gradient_of_zero() -> None:
    head = head_of()
    left = torch.randn(3, WIDTH, dtype=torch.float64, requires_grad=True)
    distances = head(left, left.detach().clone())
    assert (distances < 1e-4).all()
    distances.sum().backward()
    assert torch.equal(left.grad, torch.zeros_like(left))
    assert torch.isfinite(head.slope.grad)
    assert torch.isfinite(head.offset.grad)


def test_gradient_is_that_of_finite_differences() -> None:
    left, right, _ = some_pairs(4)
    inputs = (left.requires_grad_(), right.requires_grad_())
    assert torch.autograd.gradcheck(head_of(), inputs)


def test_close_embeddings_far_from_the_origin_keep_their_distance_in_float32() -> None:
    left, right = pairs_at(torch.full((50,), 0.05, dtype=torch.float64))
    left, right = (left + 100).float(), (right + 100).float()
    exact = head_of()(left.double(), right.double())
    torch.testing.assert_close(head_of().float()(left, right).double(), exact, rtol=1e-5, atol=0)


def test_calibration_meets_mean_and_spread_of_the_true_distances() -> None:
    head, (left, right, true) = head_of(), some_pairs()
    head.calibrate(left, right, true)
    got, wanted = torch.logit(head(left, right)), torch.logit(true)
    torch.testing.assert_close(got.mean(), wanted.mean(), rtol=1e-10, atol=0)
    torch.testing.assert_close(got.std(), wanted.std(), rtol=1e-10, atol=0)
    torch.testing.assert_close(head.spread, true.std(), rtol=1e-10, atol=0)


def test_calibration_ignores_unknown_distances() -> None:
    (left, right, true), unknown = some_pairs(), torch.arange(200) % 3 == 0
    with_gaps, without = head_of(), head_of()
    with_gaps.calibrate(left, right, torch.where(unknown, torch.nan, true))
    without.calibrate(left[~unknown], right[~unknown], true[~unknown])
    torch.testing.assert_close(with_gaps.state_dict(), without.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("case", ["embeddings all equal", "distances all equal", "distances of 0 and 1"])
def test_calibration_stays_finite_at_the_edges(case: str) -> None:
    head, (left, right, true) = head_of(), some_pairs()
    if case == "embeddings all equal":
        left = right = torch.ones_like(left)
    elif case == "distances all equal":
        true = torch.full_like(true, 0.7)
    else:
        true = (true > 0.68).double()
    head.calibrate(left, right, true)
    assert all(torch.isfinite(value).all() for value in head.state_dict().values())
    got = torch.logit(head(left, right)).mean()
    torch.testing.assert_close(got, torch.logit(true, eps=1e-3).mean(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("known", [0, 1])
def test_calibration_needs_two_known_distances(known: int) -> None:
    left, right, true = some_pairs(10)
    true[known:] = torch.nan
    with pytest.raises(ModelError, match=f"{known} of 10 pairs"):
        head_of().calibrate(left, right, true)
