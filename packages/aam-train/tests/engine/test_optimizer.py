"""Optimizers, and their state as named tensors."""

from __future__ import annotations

import copy

import pytest
import torch

from aam_train.engine.optimizer import build_optimizer, load_optimizer_tensors, optimizer_tensors
from aam_train.engine.update import Update
from aam_train.options.optimizer import OptimizerOptions

KINDS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def test_matrices_decay_and_vectors_do_not() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    matrices, vectors = build_optimizer(model, OptimizerOptions(weight_decay=0.3)).param_groups
    assert (matrices["weight_decay"], [p.shape for p in matrices["params"]]) == (0.3, [(2, 3)])
    assert (vectors["weight_decay"], len(vectors["params"])) == (0.0, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_that_was_asked_for(kind: str) -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = build_optimizer(model, OptimizerOptions(optimizer=kind, lr=0.1, weight_decay=0.5))
    assert type(optimizer) is KINDS[kind]
    before = model.weight.detach().clone()
    model.weight.grad, model.bias.grad = torch.ones(2, 3), torch.zeros(2)
    optimizer.step()
    decay = 0.5 * before
    expected = {
        "adamw": before - 0.1 * decay - 0.1,  # the first step of Adam is the sign of the gradient
        "adam": before - 0.1 * torch.sign(1 + decay),
        "sgd": before - 0.1 * (1 + decay),
    }[kind]
    assert torch.allclose(model.weight.detach(), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["adamw", "adam"])
def test_one_kernel_gives_what_one_weight_after_the_other_gives(kind: str) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(7, 5)
    other = copy.deepcopy(model)
    options = OptimizerOptions(optimizer=kind, lr=0.01, weight_decay=0.1)
    fused, plain = build_optimizer(model, options), build_optimizer(other, options)
    assert all(group["fused"] for group in fused.param_groups)
    for group in plain.param_groups:
        group["fused"] = group["foreach"] = False
    for _ in range(5):
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        fused.step()
        plain.step()
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_fp16_leaves_out_a_first_update(kind: str) -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = build_optimizer(model, OptimizerOptions(optimizer=kind, lr=0.1, weight_decay=0.0))
    update = Update(optimizer, torch.amp.GradScaler("cpu"), 0.0)
    before = model.weight.item()
    for x, scale in ((1e38, 2.0**15), (1.0, 2.0**15)):
        optimizer.zero_grad()
        update.backward(model(torch.full((1, 1), x)).sum())
        update.clip()
        update.apply()
        assert update.state()["scale"] == scale
        assert model.weight.item() == pytest.approx(before if x > 1 else before - 0.1, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_comes_back_without_that_of_what_never_learned(kind: str) -> None:
    def train(model: torch.nn.ModuleDict, optimizer: torch.optim.Optimizer, steps: int) -> None:
        for number in range(steps):
            optimizer.zero_grad()
            model["used"](torch.arange(3.0) + number).square().sum().backward()
            optimizer.step()

    options = OptimizerOptions(optimizer=kind, lr=0.01)
    model = torch.nn.ModuleDict({"used": torch.nn.Linear(3, 2), "idle": torch.nn.Linear(3, 2)})
    optimizer = build_optimizer(model, options)
    train(model, optimizer, 3)
    tensors = optimizer_tensors(model, optimizer)
    assert {name.partition(".")[2] for name in tensors} == {"used.weight", "used.bias"}
    other = copy.deepcopy(model)
    again = build_optimizer(other, options)
    load_optimizer_tensors(other, again, {name: tensor.clone() for name, tensor in tensors.items()})
    for one, its in ((model, optimizer), (other, again)):
        train(one, its, 2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
