"""Heads: their formulas, what they start as, and that everything in them learns."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from aam_models.build import build_predictor
from aam_models.config.conditioning import CategoryConfig, ConditioningConfig
from aam_models.config.encoder import EncoderConfig
from aam_models.config.predictor import LinkConfig, PredictorConfig
from aam_models.errors import ModelError
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.heads.film import FilmHead
from aam_models.predictor.heads.mixture import MixtureHead
from aam_models.predictor.heads.mlp import MlpHead
from aam_models.predictor.heads.quantiles import AscendingQuantiles
from aam_models.predictor.heads.registry import build_head
from aam_models.predictor.heads.residual import ResidualHead

B, D, E, W = 9, 6, 4, 3
CATEGORIES = ConditioningConfig((CategoryConfig(4, fused=False), CategoryConfig(3, fused=False)), embed_dim=E)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def conditions(seed: int = 0) -> Conditions:
    """Nine samples of two columns; a category's embedding is the same wherever it occurs."""
    codes = torch.stack([torch.arange(B) % 4, torch.arange(B) % 3], dim=1)
    tables = normal(2, 4, E, seed=seed)
    embedded = torch.stack([tables[column][codes[:, column]] for column in range(2)], dim=1)
    return Conditions(codes, embedded, torch.zeros(B, 0, dtype=torch.float64))


def mlp(hidden: tuple[int, ...] = (5,), seed: int = 1) -> MlpHead:
    torch.manual_seed(seed)
    return MlpHead(D, hidden, 0.0, W).double()


def film(hidden: tuple[int, ...] = (5, 4)) -> FilmHead:
    torch.manual_seed(2)
    return FilmHead(D, hidden, 0.0, W, (1, 0), E).double()


@pytest.mark.parametrize("hidden", [(5,), (5, 4)])
def test_film_starts_as_the_same_head_without_categories(hidden: tuple[int, ...]) -> None:
    plain, head, x = mlp(hidden), film(hidden), normal(B, D)
    linear = [layer for layer in plain if isinstance(layer, torch.nn.Linear)]
    for ours, theirs in zip([*head.layers, head.last], linear, strict=True):
        ours.load_state_dict(theirs.state_dict())
    assert torch.equal(head(x, conditions()).outputs, plain(x, conditions()).outputs)


def test_film_scales_and_shifts_each_hidden_layer_by_hand() -> None:
    head, x, given = film(), normal(B, D), conditions()
    for number, layer in enumerate(head.films):
        assert isinstance(layer, torch.nn.Linear)
        layer.weight.data, layer.bias.data = normal(*layer.weight.shape, seed=number), normal(len(layer.bias), seed=9)
    expected = x
    categories = torch.cat([given.embedded[:, 1], given.embedded[:, 0]], dim=1)
    for layer, width, modulation in zip(head.layers, (5, 4), head.films, strict=True):
        both = categories @ modulation.weight.T + modulation.bias
        gamma, beta = 1 + both[:, :width], both[:, width:]
        expected = F.gelu(gamma * (expected @ layer.weight.T + layer.bias) + beta)
    expected = expected @ head.last.weight.T + head.last.bias
    torch.testing.assert_close(head(x, given).outputs, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("expert", [mlp(()), mlp((5,)), film()], ids=["linear", "mlp", "film"])
def test_a_mixture_starts_as_its_expert_and_mixes_by_category(expert: MlpHead | FilmHead) -> None:
    x, given = normal(B, D), conditions()
    torch.manual_seed(3)
    head = MixtureHead(expert, 3, 1, E).double()
    found = head(x, given)
    torch.testing.assert_close(found.outputs, expert(x, given).outputs, rtol=1e-12, atol=1e-12)

    assert found.routing is not None
    torch.testing.assert_close(found.routing.sum(dim=1), torch.ones(B, dtype=torch.float64))
    assert torch.equal(found.routing[0], found.routing[3])  # the same category of column 1
    assert not torch.allclose(found.routing[0], found.routing[1], atol=0.05)

    for number, each in enumerate(head.experts):
        each.initialize_output(normal(W, seed=10 + number))
    by_hand = sum(found.routing[:, k, None] * each(x, given).outputs for k, each in enumerate(head.experts))
    torch.testing.assert_close(head(x, given).outputs, by_hand, rtol=1e-12, atol=1e-12)


def test_an_unknown_category_gets_equal_shares() -> None:
    head = MixtureHead(mlp(), 4, 0, E).double()
    given = conditions()
    routing = head(normal(B, D), given._replace(embedded=torch.zeros_like(given.embedded))).routing
    torch.testing.assert_close(routing, torch.full((B, 4), 0.25, dtype=torch.float64))


def test_a_residual_head_starts_as_the_linear_one_and_adds_the_body() -> None:
    x, given = normal(B, D), conditions()
    linear, body = mlp(()), mlp((5,), seed=4)
    head = ResidualHead(linear, body)
    assert torch.equal(head(x, given).outputs, linear(x, given).outputs)
    body.last.weight.data = normal(W, 5)
    body.initialize_output(normal(W))
    torch.testing.assert_close(head(x, given).outputs, linear(x, given).outputs + body(x, given).outputs)
    mixed = ResidualHead(linear, MixtureHead(mlp((5,)), 2, 0, E).double())(x, given)
    torch.testing.assert_close(mixed.outputs, linear(x, given).outputs)
    assert mixed.routing is not None


def test_quantiles_by_hand() -> None:
    quantiles = AscendingQuantiles((1, 4), (0, 1))
    free = torch.tensor([[7.0, 0.5, 2.0, -1.0, 3.0]], dtype=torch.float64)
    steps = [math.log1p(math.exp(value)) for value in (0.5, -1.0, 3.0)]
    expected = [7.0, 2.0 - steps[0], 2.0, 2.0 + steps[1], 2.0 + steps[1] + steps[2]]
    assert quantiles(free)[0].tolist() == pytest.approx(expected, rel=1e-12)


def test_quantiles_never_cross_and_their_inverse_leads_back() -> None:
    quantiles = AscendingQuantiles((5, 1, 3), (2, 0, 0))
    found = quantiles(100 * torch.randn(1000, 9, generator=torch.Generator().manual_seed(0)))
    for part in found.split((5, 1, 3), dim=1):
        assert (part.diff(dim=1) >= 0).all()
    wanted = torch.tensor([-2.0, -1.0, 0.5, 0.7, 9.0, 3.0, 1.0, 1.5, 4.0], dtype=torch.float64)
    torch.testing.assert_close(quantiles(quantiles.invert(wanted)[None])[0], wanted)


FORMS = {
    "linear": {},
    "mlp": {"hidden_dims": (5,)},
    "film": {"hidden_dims": (5, 4), "film_columns": (1, 0), "head_kind": "film"},
    "experts": {"experts": 3, "routing_column": 1},
    "film experts": {"hidden_dims": (5,), "film_columns": (0,), "head_kind": "film", "experts": 2, "routing_column": 1},
    "residual": {"hidden_dims": (5,), "residual": True},
    "residual experts": {"hidden_dims": (5,), "residual": True, "experts": 2, "routing_column": 0},
}


def predictor_config(encoder: EncoderConfig, form: str, **changes: object) -> PredictorConfig:
    bare = replace(encoder, objectives=())
    values = {"conditioning": CATEGORIES, **FORMS[form], **changes}
    return PredictorConfig(bare, 4, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
def test_every_parameter_of_every_head_and_link_learns(form: str, config, batch_of, random_samples) -> None:
    """Some start at zero and get their gradient from the second step on."""
    torch.manual_seed(0)
    link = LinkConfig(True, (0, 1), bounded=True, low=(0.0, -1.0), high=(1.0, 3.0))
    read = {*FORMS[form].get("film_columns", ()), FORMS[form].get("routing_column")}  # type: ignore[misc]
    columns = (CategoryConfig(size, False, embedded=place in read) for place, size in enumerate((4, 3)))
    outputs = {"target_widths": (3, 1), "anchors": (1, 0), "link": link}
    conditioning = ConditioningConfig(tuple(columns), embed_dim=E)
    model = build_predictor(predictor_config(config, form, conditioning=conditioning, **outputs)).double()
    batch = replace(batch_of(random_samples((9, 12, 10, 8, 7), (6, 9))), categories=conditions().codes[:5])
    truth = normal(5, 4, seed=5)
    parameters = dict(model.named_parameters())
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-2, weight_decay=0)
    for _ in range(4):
        optimizer.zero_grad()
        predicted, _ = model(batch)
        loss = (predicted.outputs - truth).square().sum()
        if predicted.routing is not None:
            loss = loss + predicted.routing.mean(dim=0).square().sum()
        loss.backward()
        optimizer.step()
    assert {name for name, parameter in parameters.items() if torch.equal(parameter, before[name])} == set()


@pytest.mark.parametrize("form", FORMS)
def test_a_predictor_can_start_around_given_values(form: str, config, batch_of, random_samples) -> None:
    torch.manual_seed(0)
    link = LinkConfig(True, (0,), "softplus", floors=(-0.5, 1.0))
    model = build_predictor(predictor_config(config, form, target_widths=(3, 1), anchors=(1, 0), link=link)).double()
    for module in model.head.modules():
        if isinstance(module, MlpHead | FilmHead):
            torch.nn.init.zeros_(module.last.weight)  # what is left is its start
    wanted = torch.tensor([0.1, 0.2, 0.5, 3.0], dtype=torch.float64)
    model.initialize_output(wanted)
    batch = replace(batch_of(random_samples((9, 12), (6, 9))), categories=conditions().codes[:2])
    predicted, _ = model.eval()(batch)
    torch.testing.assert_close(predicted.outputs, wanted.expand(2, 4), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("form", "kind"),
    [("linear", MlpHead), ("film", FilmHead), ("experts", MixtureHead), ("residual experts", ResidualHead)],
)
def test_the_registry(form: str, kind: type, config) -> None:
    assert type(build_head(predictor_config(config, form))) is kind


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"residual": True}, "residual without hidden_dims"),
        ({"film_columns": (0,), "head_kind": "film"}, "film_columns without hidden_dims"),
        ({"hidden_dims": (5,), "head_kind": "film"}, "film_columns of a film head"),
        ({"hidden_dims": (5,), "film_columns": (2,), "head_kind": "film"}, r"columns \(2,\) of 2 categorical ones"),
        ({"experts": 1, "routing_column": 0}, "1 experts"),
        ({"experts": 2}, "2 experts by -1"),
        ({"target_widths": (3,)}, r"target_widths \(3,\) of 4 outputs"),
        ({"target_widths": (3, 1), "anchors": (3, 0)}, r"anchors \(3, 0\)"),
        ({"link": LinkConfig(learned_scale=True)}, "a link without target_widths"),
        (
            {"target_widths": (3, 1), "anchors": (0, 0), "link": LinkConfig(activation="relu", floors=(0.0,))},
            "a link of 1 targets for 2",
        ),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], message: str, config) -> None:
    with pytest.raises(ModelError, match=message):
        predictor_config(config, "linear", **changes)
