"""Category embeddings, hierarchies and fusions: by hand, at the start, and in their gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aam_models.batch.batch import Batch
from aam_models.build import build_predictor
from aam_models.config.conditioning import CategoryConfig, ConditioningConfig, ConditioningOptions, FusionConfig
from aam_models.config.encoder import EncoderConfig
from aam_models.config.predictor import PredictorConfig
from aam_models.errors import ModelError
from aam_models.predictor.conditioning.category_embedding import CategoryEmbedding
from aam_models.predictor.fusion.cross_attention import CrossAttentionFusion
from aam_models.predictor.predictor import Predictor
from aam_models.storage.folders import new_folder
from aam_models.storage.model_folder import load_model, save_model

KINDS = ("concat", "add", "gmu", "cross-attention", "perceiver")
CITY = CategoryConfig(5, parent=1, parent_codes=(0, 1, 1, 2, 0))  # codes 1 and 2 in state 1, 3 in state 2, 4 unknown
STATE = CategoryConfig(3, parent=2, parent_codes=(0, 1, 1))
COUNTRY = CategoryConfig(2)
LENGTHS = (6, 9, 14)


def conditioning(kind: str, covariates: int = 2) -> ConditioningConfig:
    fusion = FusionConfig(kind, heads=3, latents=4, layers=2)
    return ConditioningConfig((CITY, STATE, COUNTRY), covariates, embed_dim=6, fusion=fusion)


def predictor_config(encoder: EncoderConfig, kind: str, covariates: int = 2) -> PredictorConfig:
    bare = replace(encoder, objectives=())
    return PredictorConfig(bare, out_width=2, conditioning=conditioning(kind, covariates))


def with_conditions(batch: Batch, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    rows = batch.n_samples
    sizes = (CITY.size, STATE.size, COUNTRY.size)
    codes = torch.stack([torch.randint(size, (rows,), generator=generator) for size in sizes], dim=1)
    values = torch.randn((rows, 2), generator=generator, dtype=torch.float64)
    missing = torch.rand((rows, 2), generator=generator) < 0.3
    return replace(batch, categories=codes, covariates=torch.cat([values * ~missing, missing.double()], dim=1))


@pytest.fixture
def batch(batch_of: Callable[..., Batch], random_samples: Callable[..., Any]) -> Batch:
    return with_conditions(batch_of(random_samples((5, 3, 7, 4), LENGTHS)))


def test_a_child_adds_its_parents_embedding() -> None:
    torch.manual_seed(0)
    embedding = CategoryEmbedding((CITY, STATE, COUNTRY), 6)
    city, state, country = (table.weight for table in embedding.tables)
    found = embedding(torch.tensor([[1, 1, 1], [3, 0, 0], [0, 2, 1], [0, 0, 1], [0, 0, 0], [4, 2, 0]]))
    torch.testing.assert_close(
        found[0], torch.stack([city[1] + state[1] + country[1], state[1] + country[1], country[1]])
    )
    # what training knew of the city, whatever the sample says of its state
    torch.testing.assert_close(found[1, 0], city[3] + state[2] + country[1])
    # an unseen city is its state, an unseen state its country
    torch.testing.assert_close(found[2, 0], state[2] + country[1])
    torch.testing.assert_close(found[3, 0], country[1])
    assert (found[4] == 0).all()
    torch.testing.assert_close(found[5, 0], city[4] + state[2] + country[1])  # its state was missing in training


@pytest.mark.parametrize("kind", KINDS)
def test_models_start_as_the_one_without_conditions(kind: str, config: EncoderConfig, batch: Batch) -> None:
    torch.manual_seed(3)
    plain = build_predictor(replace(predictor_config(config, kind), conditioning=ConditioningConfig())).double()
    torch.manual_seed(3)
    conditioned = build_predictor(predictor_config(config, kind)).double()
    expected = plain(replace(batch, categories=None, covariates=None))[0].outputs
    torch.testing.assert_close(conditioned(batch)[0].outputs, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("covariates", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter_after_a_step(
    kind: str, covariates: int, config: EncoderConfig, batch: Batch
) -> None:
    torch.manual_seed(0)
    predictor = build_predictor(predictor_config(config, kind, covariates)).double()
    nn.init.zeros_(predictor.encoder.sample_encoder.pooling.score.weight)
    if not covariates:
        batch = replace(batch, covariates=None)
    optimizer = torch.optim.SGD(predictor.parameters(), lr=0.1)
    for _ in range(2):  # the readers of the embeddings start at zero
        optimizer.zero_grad()
        predictor(batch)[0].outputs.sin().sum().backward()
        optimizer.step()
    unreached = [
        name
        for name, parameter in predictor.named_parameters()
        if parameter.grad is None or parameter.grad.abs().max() < 1e-12
    ]
    assert unreached == []


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_depend_on_the_sample_s_own_conditions_alone(
    kind: str, config: EncoderConfig, batch: Batch, model_of: Callable[..., Predictor]
) -> None:
    predictor = model_of(predictor_config(config, kind))
    outputs = predictor(batch)[0].outputs
    assert batch.categories is not None
    assert batch.covariates is not None
    codes = batch.categories.clone()
    codes[0, 0] = (codes[0, 0] + 1) % CITY.size
    other = predictor(replace(batch, categories=codes))[0].outputs
    assert not torch.allclose(other[0], outputs[0])
    torch.testing.assert_close(other[1:], outputs[1:], rtol=1e-12, atol=1e-12)
    covariates = batch.covariates.clone()
    covariates[1, 0] += 1
    other = predictor(replace(batch, covariates=covariates))[0].outputs
    assert not torch.allclose(other[1], outputs[1])
    torch.testing.assert_close(other[[0, 2, 3]], outputs[[0, 2, 3]], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_loads_to_the_same_model(kind: str, config: EncoderConfig, batch: Batch, tmp_path) -> None:
    torch.manual_seed(1)
    predictor = build_predictor(predictor_config(config, kind)).eval()
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    with new_folder(tmp_path / "model") as folder:
        save_model(folder, predictor)
    loaded = load_model(tmp_path / "model")
    assert isinstance(loaded, Predictor)
    assert loaded.config == predictor.config
    assert batch.covariates is not None
    batch = replace(batch, covariates=batch.covariates.float(), counts=batch.counts.float())
    with torch.no_grad():
        assert torch.equal(loaded(batch)[0].outputs, predictor(batch)[0].outputs)


def fused_by_hand(kind: str, predictor: Predictor, x: Tensor, batch: Batch) -> Tensor:
    """The formulas of docs/design.md, written out for each sample."""
    conditions, fusion = predictor.conditioning(batch), predictor.fusion
    rows = []
    for b in range(len(x)):
        e, c = conditions.embedded[b], conditions.covariates[b]
        everything = torch.cat([e.flatten(), c])
        if kind == "concat":
            rows.append(x[b] + fusion.linear.weight @ torch.cat([x[b], everything]) + fusion.linear.bias)
        elif kind == "add":
            maps = fusion.tokens.categories
            tokens = [linear.weight @ e[place] + linear.bias for place, linear in enumerate(maps)]
            rows.append(x[b] + sum(tokens) + fusion.tokens.covariates(c))
        else:
            gate = torch.sigmoid(fusion.gate.weight @ torch.cat([x[b], everything]) + fusion.gate.bias)
            other = torch.tanh(fusion.metadata.weight @ everything + fusion.metadata.bias)
            rows.append(2 * (gate * x[b] + (1 - gate) * other))
    return torch.stack(rows)


@pytest.mark.parametrize("kind", ["concat", "add", "gmu"])
def test_fusions_by_hand(kind: str, config: EncoderConfig, batch: Batch, model_of: Callable[..., Predictor]) -> None:
    predictor = model_of(predictor_config(config, kind))
    x = torch.randn((batch.n_samples, config.width), dtype=torch.float64)
    found = predictor.fusion(x, predictor.conditioning(batch))
    torch.testing.assert_close(found, fused_by_hand(kind, predictor, x, batch), rtol=1e-10, atol=1e-12)


def test_attention_weights_are_those_that_prediction_uses(
    config: EncoderConfig, batch: Batch, model_of: Callable[..., Predictor]
) -> None:
    predictor = model_of(predictor_config(config, "cross-attention"))
    fusion = predictor.fusion
    assert isinstance(fusion, CrossAttentionFusion)
    x = torch.randn((batch.n_samples, config.width), dtype=torch.float64)
    conditions = predictor.conditioning(batch)
    weights = fusion.weights(x, conditions)
    assert weights.shape == (batch.n_samples, 3, 1 + 3 + 1)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:2], dtype=torch.float64))
    keys = torch.cat([x[:, None], fusion.tokens(conditions)], dim=1)
    values = fusion.attend.value(fusion.attend.key_norm(keys)).view(batch.n_samples, 5, 3, config.width // 3)
    attended = torch.einsum("bhk,bkhd->bhd", weights, values).reshape(x.shape)
    expected = x + fusion.attend.out(attended)
    torch.testing.assert_close(fusion(x, conditions), expected, rtol=1e-10, atol=1e-12)


def test_columns_that_are_not_fused_change_no_fusion(
    config: EncoderConfig, batch: Batch, model_of: Callable[..., Predictor]
) -> None:
    of_head = replace(COUNTRY, fused=False)
    made = ConditioningConfig((CITY, STATE, of_head), 0, 6, FusionConfig("concat"))
    predictor = model_of(replace(predictor_config(config, "concat", 0), conditioning=made))
    batch = replace(batch, covariates=None)
    outputs = predictor(batch)[0].outputs
    conditions = predictor.conditioning(batch)
    assert conditions.embedded.shape == (batch.n_samples, 3, 6)
    changed = conditions._replace(embedded=conditions.embedded + torch.tensor([0.0, 0.0, 1.0])[:, None])
    samples = predictor(batch)[0].features
    torch.testing.assert_close(predictor.predict_from(samples, changed).outputs, outputs)


def test_a_batch_without_what_the_model_reads_is_a_bug(
    config: EncoderConfig, batch: Batch, model_of: Callable[..., Predictor]
) -> None:
    predictor = model_of(predictor_config(config, "add"))
    with pytest.raises(RuntimeError, match="0 categories and 4 covariate values, the predictor reads 3 and 4"):
        predictor(replace(batch, categories=None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categorical_embed_dim": 0}, "--categorical-embed-dim 0"),
        ({"categorical_embed_dim": 10**6}, "--categorical-embed-dim 1000000"),
        ({"categorical_fusion": "cross-attention", "cross_attn_heads": 0}, "--cross-attn-heads 0"),
        (
            {"cross_attn_heads": 4},
            "--cross-attn-heads only applies to --categorical-fusion cross-attention .got concat",
        ),
        (
            {"categorical_fusion": "gmu", "perceiver_num_latents": 8},
            "--perceiver-num-latents only applies to --categorical-fusion perceiver .got gmu",
        ),
        ({"perceiver_num_layers": 1}, "--perceiver-num-layers only applies to --categorical-fusion perceiver"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ConditioningOptions(**options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FusionConfig("sum"), "fusion 'sum': must be one of none, head, concat"),
        (lambda: FusionConfig("perceiver", latents=0), "fusion latents 0"),
        (lambda: CategoryConfig(0), "a category column of 0 codes"),
        (lambda: CategoryConfig(3, parent=1, parent_codes=(0,)), "1 parent_codes for 3 codes with parent 1"),
        (lambda: ConditioningConfig((COUNTRY,)), "fusion none, although there is metadata to fuse"),
        (lambda: ConditioningConfig(fusion=FusionConfig("add")), "fusion add: there is no metadata to fuse"),
        (lambda: ConditioningConfig((CITY,), fusion=FusionConfig("add")), "category 0: there is no parent 1"),
        (
            lambda: ConditioningConfig(
                (CategoryConfig(2, parent=1, parent_codes=(0, 1)), CategoryConfig(2, parent=0, parent_codes=(0, 1))),
                fusion=FusionConfig("add"),
            ),
            "category 0: its parents form a cycle",
        ),
        (
            lambda: ConditioningConfig(
                (CategoryConfig(2, parent=1, parent_codes=(0, 7)), COUNTRY), fusion=FusionConfig("add")
            ),
            "category 0: parent_codes out of range",
        ),
    ],
)
def test_invalid_configurations_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()


def test_heads_must_divide_the_width(config: EncoderConfig) -> None:
    made = replace(conditioning("cross-attention"), fusion=FusionConfig("cross-attention", heads=8))
    with pytest.raises(ModelError, match=r"--cross-attn-heads 8 does not divide .* 12 \(--embedding-dim\)"):
        PredictorConfig(config, 2, conditioning=made)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_columns_does_not_matter(
    kind: str, config: EncoderConfig, batch: Batch, model_of: Callable[..., Predictor]
) -> None:
    """The same columns in another order, each with its own weights, give the same predictions."""
    order = [2, 0, 1]  # country, city, state
    place = {old: new for new, old in enumerate(order)}
    turned = tuple(replace(c, parent=place.get(c.parent, -1)) for c in (COUNTRY, CITY, STATE))
    made = predictor_config(config, kind)
    predictor = model_of(made)
    other = model_of(replace(made, conditioning=replace(made.conditioning, categories=turned)), seed=1)
    weights = other.state_dict()
    for name, tensor in predictor.state_dict().items():
        parts = name.split(".")
        for prefix in ("conditioning.embedding.tables", "fusion.tokens.categories"):
            if name.startswith(prefix):
                parts[3] = str(place[int(parts[3])])
        if parts[-1].startswith("parent_codes_"):
            parts[-1] = f"parent_codes_{place[int(parts[-1][-1])]}"
        weights[".".join(parts)] = tensor
    if kind in ("concat", "gmu"):  # columns of one matrix, 6 a category
        first = config.width
        for name, start in (("linear", first),) if kind == "concat" else (("gate", first), ("metadata", 0)):
            old = predictor.state_dict()[f"fusion.{name}.weight"]
            blocks = [old[:, start + 6 * column : start + 6 * column + 6] for column in order]
            weights[f"fusion.{name}.weight"] = torch.cat([old[:, :start], *blocks, old[:, start + 18 :]], dim=1)
    other.load_state_dict(weights)
    assert batch.categories is not None
    found = other(replace(batch, categories=batch.categories[:, order]))[0].outputs
    torch.testing.assert_close(found, predictor(batch)[0].outputs, rtol=1e-10, atol=1e-12)
