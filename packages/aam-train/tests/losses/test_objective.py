"""The terms of a loss: their weights, and what a weight of 0 saves."""

from __future__ import annotations

import pytest
import torch

from aam_models.build import build_encoder
from aam_models.config.encoder import ModelOptions
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.losses.objective import Objective, Term
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.setup.architecture import new_encoder_config
from aam_train.setup.head_initialization import calibrate_heads

SMALL = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1)
CPU = torch.device("cpu")
EVERYTHING = {"unifrac": 0.5, "faith_pd": 0.5, "nucleotides": 2.0, "counts": 3.0}
TERMS = {"unifrac", "faith_pd", "nucleotides", "counts"}


def encoder_for(data: RunData, weights: dict[str, float]) -> tuple[Step, Objective]:
    objective = build_objective(weights, Sources(data.pairs))
    torch.manual_seed(0)
    step = Step(build_encoder(new_encoder_config(SMALL, 150, weights)), CPU)
    calibrate_heads(step, data, objective.encoder, 32)
    return step, objective


def losses(data: RunData, step: Step, objective: Objective):
    batch = data.maker[BatchRequest(data.rows["train"], 0, objective.corruptions)]
    true = objective.look_up(batch)
    return step.losses(batch, objective, true, objective.counts(batch, true))


def test_the_total_is_the_weighted_sum_of_the_means(data: RunData) -> None:
    step, objective = encoder_for(data, EVERYTHING)
    breakdown = losses(data, step, objective)
    assert set(breakdown.terms) == TERMS
    weights = {"unifrac": 0.5, "faith_pd": 0.5, "nucleotides": 2.0, "counts": 3.0}
    means = {name: (term.sum / term.count).item() for name, term in breakdown.terms.items()}
    expected = sum(weights[name] * mean for name, mean in means.items())
    assert breakdown.total().item() == pytest.approx(expected, rel=1e-6)
    n = len(data.rows["train"])
    assert breakdown.terms["unifrac"].count == n * (n - 1) // 2
    assert breakdown.terms["faith_pd"].count == n


@pytest.mark.parametrize(
    ("weights", "absent", "heads"),
    [
        ({**EVERYTHING, "unifrac": 0.0, "faith_pd": 0.0}, {"unifrac", "faith_pd"}, ["distance_head", "faith_pd_head"]),
        ({**EVERYTHING, "faith_pd": 0.0}, {"faith_pd"}, ["faith_pd_head"]),
        ({**EVERYTHING, "unifrac": 0.0}, {"unifrac"}, ["distance_head"]),
        ({**EVERYTHING, "nucleotides": 0.0}, {"nucleotides"}, ["asv_encoder.nucleotide_head"]),
        ({**EVERYTHING, "counts": 0.0}, {"counts"}, ["count_head"]),
    ],
)
def test_a_weight_of_0_is_work_not_done(
    data: RunData, weights: dict[str, float], absent: set[str], heads: list[str]
) -> None:
    step, objective = encoder_for(data, weights)
    breakdown = losses(data, step, objective)
    assert set(breakdown.terms) == TERMS - absent
    names = set(step.encoder.state_dict())
    assert not any(name.startswith(head) for name in names for head in heads)
    batch = data.maker[BatchRequest(data.rows["train"], 0, objective.corruptions)]
    true = objective.look_up(batch)
    assert ("unifrac" not in true.values) == ("unifrac" in absent)
    assert ("faith_pd" not in true.values) == ("faith_pd" in absent)
    assert (len(batch.masked_rows) == 0) == ("nucleotides" in absent)
    assert (batch.hidden_counts is None) == ("counts" in absent)


def test_a_term_without_anything_to_count_is_0_and_connected() -> None:
    x = torch.ones(3, requires_grad=True)
    term = Term((x * 0).sum(), 0, 1.0)
    term.value().backward()
    assert term.value().item() == 0
    assert x.grad is not None


def test_distances_are_those_of_the_draw(data: RunData) -> None:
    objective = build_objective({"unifrac": 1.0}, Sources(data.pairs))
    rows = data.rows["train"][:6]
    batches = [data.maker[BatchRequest(rows, draw, objective.corruptions)] for draw in (0, 0, 1)]
    found = [objective.look_up(batch).values["unifrac"] for batch in batches]
    assert data.pairs is not None
    assert torch.equal(found[0], torch.from_numpy(data.pairs.pairs(rows, rows, 0)))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
