"""Invalid choices are rejected, by the name of the flag."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aam_models.build import build_encoder, build_predictor
from aam_models.config.encoder import (
    PRESETS,
    Alphabet,
    EncoderConfig,
    EncoderSize,
    ModelOptions,
)
from aam_models.config.predictor import PredictorConfig
from aam_models.config.predictor_options import HeadOptions
from aam_models.errors import ModelError


def test_sizes_come_from_the_preset_unless_given() -> None:
    assert ModelOptions().size() == PRESETS["base"] == EncoderSize(width=128, heads=4, layers=4)
    assert ModelOptions(preset="tiny").size() == EncoderSize(width=64, heads=2, layers=2)
    assert ModelOptions(preset="large").size() == EncoderSize(width=512, heads=8, layers=8)
    assert ModelOptions(preset="tiny", embedding_dim=96, attention_heads=3).size() == EncoderSize(96, 3, 2)
    assert ModelOptions(attention_layers=7).size() == EncoderSize(128, 4, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_dim": 0}, "--embedding-dim 0"),
        ({"embedding_dim": -128}, "--embedding-dim -128"),
        ({"embedding_dim": 16_388}, "--embedding-dim 16388: must be at most 16384"),
        ({"attention_heads": 0}, "--attention-heads 0"),
        ({"attention_heads": 3}, "--embedding-dim 128 is not a multiple of --attention-heads 3"),
        ({"attention_layers": 0}, "--attention-layers 0"),
        ({"attention_layers": 10**9}, "--attention-layers 1000000000: must be at most 256"),
        ({"asv_chunk_size": -1}, "--asv-chunk-size -1"),
        ({"bases_per_token": 3}, "--bases-per-token 3: must be 1, 2 or 4"),
        ({"bases_per_token": 0}, "--bases-per-token 0: must be 1, 2 or 4"),
    ],
)
def test_model_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelOptions(**options)


def test_bases_per_token_are_one_by_default_and_those_of_an_encoder(config: EncoderConfig) -> None:
    assert ModelOptions().stored()["bases_per_token"] == 1
    assert ModelOptions(bases_per_token=4).stored()["bases_per_token"] == 4
    of_four = replace(config, bases_per_token=4)
    assert ModelOptions().conflicts(of_four) == ModelOptions(bases_per_token=4).conflicts(of_four) == []
    assert ModelOptions(bases_per_token=1).conflicts(of_four) == ["--bases-per-token 1 (it has 4)"]
    assert config.describe() == "12 wide, 3 heads, 2 + 2 layers"
    assert of_four.describe() == "12 wide, 3 heads, 2 + 2 layers, 4 bases per token"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regressor_hidden_dims": (64, 0)}, "--regressor-hidden-dims 64,0"),
        ({"regressor_hidden_dims": (10**6,)}, "--regressor-hidden-dims 1000000"),
        ({"regressor_hidden_dims": (8,) * 257}, "--regressor-hidden-dims has 257 layers"),
        ({"regressor_hidden_dims": (8,), "regressor_dropout": 1.0}, "--regressor-dropout 1.0"),
        ({"regressor_hidden_dims": (8,), "regressor_dropout": -0.1}, "--regressor-dropout -0.1"),
        ({"regressor_hidden_dims": (8,), "regressor_dropout": float("nan")}, "--regressor-dropout nan"),
        ({"regressor_dropout": 0.1}, "pass --regressor-hidden-dims too"),
    ],
)
def test_head_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        HeadOptions(**options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_bp": 0}, "max_bp 0"),
        ({"max_bp": 65_537}, "max_bp 65537"),
        ({"width": 0}, "width 0"),
        ({"width": 10**6}, "width 1000000"),
        ({"heads": 0}, "0 heads"),
        ({"heads": 5}, "5 heads do not divide 12"),
        ({"asv_layers": 0}, "asv_layers 0"),
        ({"sample_layers": 10**9}, "sample_layers 1000000000"),
        ({"bases_per_token": 8}, "bases_per_token 8: must be 1, 2 or 4"),
    ],
)
def test_encoder_configs_are_checked(change: dict[str, Any], message: str, config: EncoderConfig) -> None:
    with pytest.raises(ModelError, match=message):
        replace(config, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out_width": 0}, "out_width 0"),
        ({"out_width": 10**9}, "out_width 1000000000"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"dropout": float("nan")}, "dropout nan"),
        ({"hidden_dims": (0,)}, r"hidden_dims \(0,\)"),
        ({"hidden_dims": (8,) * 257}, "257 hidden_dims"),
    ],
)
def test_predictor_configs_are_checked(change: dict[str, Any], message: str, config: EncoderConfig) -> None:
    with pytest.raises(ModelError, match=message):
        replace(PredictorConfig(config, out_width=1), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "alphabet size 0"),
        ({"size": 10**12}, "alphabet size 1000000000000"),
        ({"n_bases": 0}, "0 bases"),
        ({"n_bases": 10**12}, "1000000000000 bases"),
        ({"pad": -1}, "its own number from 0 to 7"),
        ({"mask": 8}, "its own number from 0 to 7"),
        ({"first_base": 5}, "its own number from 0 to 7"),
        ({"start": 4}, "its own number from 0 to 7"),
        ({"start": 6}, "its own number from 0 to 7"),
    ],
)
def test_alphabets_are_checked(change: dict[str, Any], message: str, alphabet: Alphabet) -> None:
    with pytest.raises(ModelError, match=message):
        replace(alphabet, **change)


def test_models_have_the_size_of_their_config(config: EncoderConfig) -> None:
    """Parameters of a pre-norm transformer counted by hand."""
    d = config.width
    block = (d * 3 * d + 3 * d) + (d * d + d) + (d * 4 * d + 4 * d) + (4 * d * d + d) + 4 * d
    pooling = d * config.heads + (d * d + d)
    positions = config.max_bp + 1
    asv_level = (8 + positions + 8 * positions) * d + 2 * block + 2 * d + pooling
    sample_level = (d + (d + d) + (d * d + d)) + 2 * block + 2 * d + pooling
    heads = (4 * d + 4) + (d + 1) + (d + 1) + 2
    encoder = build_encoder(config)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == asv_level + sample_level + heads
    predictor = build_predictor(PredictorConfig(config, out_width=3, hidden_dims=(7,)))
    extra = 2 * d + (7 * d + 7) + (3 * 7 + 3)
    assert sum(parameter.numel() for parameter in predictor.parameters()) == asv_level + sample_level + heads + extra
