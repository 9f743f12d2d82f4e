"""Losses of targets against values computed by hand, with masks and weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from aam_train.losses.expert_balance import balance_loss
from aam_train.losses.targets import ClassLoss, NumberLoss, NumberLosses, TargetLoss

NAN = math.nan
CLASSES = ((0, 2), (2, 0), (3, 1), (4, 1), (5, 2))  # row and code of what is known below
PREDICTED = [0.2, 3.0, -4.0, 0.5, 2.5]
TRUTH = [0.0, 1.0, NAN, 1.5, -1.0]  # residuals 0.2, 2, unknown, -1, 3.5


def column(values: list[float], *, grad: bool = False) -> Tensor:
    return torch.tensor([[value] for value in values], dtype=torch.float64, requires_grad=grad)


def mean(loss: TargetLoss, outputs: Tensor, targets: Tensor, sample_weights: Tensor | None = None) -> float:
    return loss.sum(outputs, targets, sample_weights).item() / loss.count(targets, sample_weights)


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        (NumberLoss("mse"), [0.04, 4.0, 1.0, 12.25]),
        (NumberLoss("mae"), [0.2, 2.0, 1.0, 3.5]),
        (NumberLoss("huber"), [0.04, 3.0, 1.0, 6.0]),  # r^2 up to 1, then 2 |r| - 1
        (NumberLoss("huber", delta=2.0), [0.04, 4.0, 1.0, 10.0]),  # then 2 (2 |r| - 2)
        (NumberLoss("mse", spread=2.0), [0.01, 1.0, 0.25, 3.0625]),
        (NumberLoss("asymmetric", over=3.0, under=0.5), [0.6, 6.0, 0.5, 10.5]),
        (NumberLoss("quantile", quantiles=(0.5,)), [0.1, 1.0, 0.5, 1.75]),
    ],
)
def test_values_by_hand(loss: NumberLoss, by_hand: list[float]) -> None:
    outputs, targets = column(PREDICTED, grad=True), column(TRUTH)
    losses = NumberLosses((loss,))
    known = torch.isfinite(targets)
    assert losses.values(outputs, targets)[known].tolist() == pytest.approx(by_hand, rel=1e-12)
    assert losses.count(targets) == 4
    assert mean(losses, outputs, targets) == pytest.approx(sum(by_hand) / 4, rel=1e-12)

    weights = torch.tensor([1.0, 0.5, 7.0, 0.0, 2.0], dtype=torch.float64)
    weighted = by_hand[0] + 0.5 * by_hand[1] + 0.0 * by_hand[2] + 2.0 * by_hand[3]
    assert losses.count(targets, weights) == 3.5
    assert mean(losses, outputs, targets, weights) == pytest.approx(weighted / 3.5, rel=1e-12)

    losses.sum(outputs, targets, weights).backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert ((outputs.grad != 0).squeeze(1)).tolist() == [True, True, False, False, True]


def test_pinball_of_several_quantiles_by_hand() -> None:
    loss = NumberLosses((NumberLoss("quantile", quantiles=(0.1, 0.5, 0.9), spread=2.0),))
    outputs = torch.tensor([[-1.0, 0.0, 2.0], [5.0, 6.0, 7.0]], dtype=torch.float64)
    targets = torch.tensor([[1.0], [4.0]], dtype=torch.float64)
    # residuals / 2: -1, -0.5, 0.5 and 0.5, 1, 1.5
    first = (0.1 * 1 + 0.5 * 0.5 + 0.1 * 0.5) / 3
    second = (0.9 * 0.5 + 0.5 * 1 + 0.1 * 1.5) / 3
    assert loss.values(outputs, targets).squeeze(1).tolist() == pytest.approx([first, second], rel=1e-12)


def test_pinball_of_the_median_is_half_the_absolute_error_and_the_best_constant_is_the_quantile() -> None:
    random = torch.Generator().manual_seed(0)
    outputs, targets = (torch.randn(50, 1, generator=random, dtype=torch.float64) for _ in range(2))
    median, mae = NumberLosses((NumberLoss("quantile", quantiles=(0.5,)),)), NumberLosses((NumberLoss("mae"),))
    torch.testing.assert_close(2 * median.values(outputs, targets), mae.values(outputs, targets))
    truth = torch.arange(1.0, 100.0, dtype=torch.float64)[:, None]
    for q in (0.1, 0.9):
        loss = NumberLosses((NumberLoss("quantile", quantiles=(q,)),))
        costs = [float(loss.sum(torch.full_like(truth, float(guess)), truth)) for guess in range(101)]
        assert int(np.argmin(costs)) == pytest.approx(np.quantile(truth.numpy(), q), abs=1)


def test_asymmetric_with_equal_penalties_is_symmetric_and_with_others_a_quantile() -> None:
    random = torch.Generator().manual_seed(1)
    outputs, targets = (torch.randn(50, 1, generator=random, dtype=torch.float64) for _ in range(2))
    plain, mae = NumberLosses((NumberLoss("asymmetric"),)), NumberLosses((NumberLoss("mae"),))
    assert torch.equal(plain.values(outputs, targets), mae.values(outputs, targets))
    assert torch.equal(plain.values(outputs, targets), plain.values(-outputs, -targets))
    costly = NumberLosses((NumberLoss("asymmetric", over=1.0, under=3.0),))
    pinball = NumberLosses((NumberLoss("quantile", quantiles=(0.75,)),))
    torch.testing.assert_close(costly.values(outputs, targets), 4 * pinball.values(outputs, targets))


def test_targets_with_different_losses_widths_and_weights() -> None:
    quantile = NumberLoss("quantile", quantiles=(0.5, 0.9), spread=0.5)
    loss = NumberLosses((NumberLoss("mse", spread=2.0), quantile, NumberLoss("mae", weight=4.0)))
    outputs = torch.tensor([[4.0, 1.0, 3.0, 0.0], [2.0, 0.0, 0.0, 5.0]])
    targets = torch.tensor([[0.0, 2.0, 1.0], [NAN, NAN, 2.0]])
    values = loss.values(outputs, targets)
    # residuals of the quantiles / 0.5: -2 and 2
    assert values[0].tolist() == pytest.approx([4.0, (0.5 * 2 + 0.1 * 2) / 2, 1.0])
    assert values[1, 2].item() == pytest.approx(3.0)
    assert loss.count(targets) == 1 + 1 + 4 + 4
    assert mean(loss, outputs, targets) == pytest.approx((4.0 + 0.6 + 4 * 1.0 + 4 * 3.0) / 10)


def test_cross_entropy_with_class_weights_is_torchs_weighted_mean() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    targets = column([2.0, NAN, 0.0, 1.0, 1.0, 2.0])
    weights = [0.5, 2.0, 3.0]
    known = torch.isfinite(targets[:, 0])
    expected = torch.nn.functional.cross_entropy(
        logits[known], targets[known, 0].long(), weight=torch.tensor(weights, dtype=torch.float64)
    )
    loss = ClassLoss(weights, torch.device("cpu"))
    assert mean(loss, logits, targets) == pytest.approx(expected.item(), rel=1e-12)
    assert loss.count(targets) == 3.0 + 0.5 + 2.0 + 2.0 + 3.0
    loss.sum(logits, targets).backward()
    assert logits.grad is not None
    assert (logits.grad[~known] == 0).all()

    plain = ClassLoss()
    rows = logits.tolist()
    shares = [math.exp(rows[b][code]) / sum(map(math.exp, rows[b])) for b, code in CLASSES]
    assert plain.count(targets) == 5
    assert mean(plain, logits, targets) == pytest.approx(-sum(map(math.log, shares)) / 5, rel=1e-12)


def test_balance_is_0_for_equal_use_and_largest_for_one_expert() -> None:
    assert balance_loss(torch.full((5, 4), 0.25)).item() == pytest.approx(0, abs=1e-6)
    assert balance_loss(torch.eye(4)).item() == pytest.approx(0, abs=1e-6)  # different experts, used alike
    one = torch.zeros(5, 4)
    one[:, 2] = 1
    assert balance_loss(one).item() == pytest.approx(5 * 3)
    uneven = torch.tensor([[0.9, 0.1], [0.7, 0.3]])  # 0.8 and 0.2 on average
    assert balance_loss(uneven).item() == pytest.approx(2 * (2 * (0.64 + 0.04) - 1))
