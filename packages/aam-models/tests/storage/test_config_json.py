"""Configurations come back from JSON exactly, or are rejected with the file and the key."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from aam_models.config.encoder import EncoderConfig
from aam_models.config.predictor import PredictorConfig
from aam_models.errors import ModelError
from aam_models.storage.config_json import config_from_json, config_to_json
from aam_models.storage.strict_json import parse_strict_json

Content = dict[str, Any]


@pytest.fixture
def predictor(config: EncoderConfig) -> PredictorConfig:
    return PredictorConfig(config, out_width=3, hidden_dims=(64, 32), dropout=0.25)


@pytest.fixture
def content(predictor: PredictorConfig) -> Content:
    loaded: Content = json.loads(config_to_json(predictor))
    return loaded


def test_configs_come_back_equal(config: EncoderConfig, predictor: PredictorConfig) -> None:
    for written in (config, predictor, replace(config, bases_per_token=4)):
        assert config_from_json(config_to_json(written), "config.json") == written


def test_a_whole_number_is_a_float_too(content: Content) -> None:
    content["model"]["dropout"] = 0
    read = config_from_json(json.dumps(content), "config.json")
    assert isinstance(read, PredictorConfig)
    assert isinstance(read.dropout, float)


def set_at(path: str, value: object) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            content = content[parent]
        content[last] = value

    return change


def remove(path: str) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            content = content[parent]
        del content[last]

    return change


def test_version_8_had_one_base_per_token(config, predictor) -> None:
    for now in (config, predictor):
        content = json.loads(config_to_json(now))
        del content["model"].get("encoder", content["model"])["bases_per_token"]
        assert config_from_json(json.dumps(content | {"format_version": 8}), "config.json") == now
        with pytest.raises(ModelError, match="missing keys: bases_per_token"):
            config_from_json(json.dumps(content), "config.json")


def with_flags(encoder: Content) -> None:
    """Replace the names of objectives by what stood there up to version 4."""
    names = encoder.pop("objectives")
    del encoder["asv_encoder"]
    encoder |= {"distance_head": "unifrac" in names, "faith_pd_head": "faith_pd" in names}
    encoder |= {"nucleotide_head": "nucleotides" in names, "count_head": "counts" in names}


@pytest.mark.parametrize("classes", [(), (2, 5)])
def test_version_4_had_a_flag_for_each_head(classes, config) -> None:
    names = ("faith_pd", "counts", *(("taxonomy",) if classes else ()))
    now = replace(config, objectives=names, taxonomy_classes=classes)
    content = json.loads(config_to_json(now))
    with_flags(content["model"])
    assert config_from_json(json.dumps(content | {"format_version": 4}), "config.json") == now


def test_version_3_had_no_metadata(config) -> None:
    content = json.loads(config_to_json(PredictorConfig(config, 2, (8,), 0.1)))
    kept = {"encoder", "out_width", "hidden_dims", "dropout"}
    content["model"] = {name: value for name, value in content["model"].items() if name in kept}
    with_flags(content["model"]["encoder"])
    older = json.dumps(content | {"format_version": 3})
    assert config_from_json(older, "config.json") == PredictorConfig(config, 2, (8,), 0.1)


def test_version_1_had_one_method_of_abundance_and_no_taxonomy(config) -> None:
    for present in (config, PredictorConfig(config, 2, (8,), 0.1)):
        content = json.loads(config_to_json(present))
        encoder = content["model"].get("encoder", content["model"])
        for name in ("count_embedding_method", "taxonomy_classes", "distance_scale", "size_embedding", "site_sum"):
            del encoder[name]
        with_flags(encoder)
        content["model"].pop("conditioning", None)
        content["model"].pop("head_kind", None)
        assert config_from_json(json.dumps(content | {"format_version": 1}), "config.json") == present
    with pytest.raises(ModelError, match=r"config.json: not a configuration of format version 1"):
        config_from_json('{"format_version": 1, "kind": "encoder", "model": []}', "config.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("format_version"), "not an AAM model configuration"),
        (remove("kind"), "not an AAM model configuration"),
        (set_at("more", 1), "not an AAM model configuration"),
        (set_at("format_version", True), "True is not a format version"),
        (set_at("format_version", "1"), "'1' is not a format version"),
        (set_at("format_version", 0), "0 is not a format version"),
        (set_at("format_version", 1.0), "1.0 is not a format version"),
        (
            set_at("format_version", 10),
            "format version 10 is newer than this program can read .* pip install -U aam-cli",
        ),
        (set_at("kind", "decoder"), "unknown kind of model 'decoder'"),
        (set_at("kind", ["encoder"]), "unknown kind of model"),
        (set_at("kind", "encoder"), "model: missing keys: alphabet, max_bp, width, heads, asv_layers and 10 more"),
        (set_at("model", []), "model: expected a JSON object"),
        (remove("model.out_width"), "model: missing keys: out_width"),
        (set_at("model.colour", 1), "model: unknown keys: colour"),
        (set_at("model.encoder.colour", 1), "model.encoder: unknown keys: colour"),
        (set_at("model.encoder.alphabet", 3), "model.encoder.alphabet: expected a JSON object, got 3"),
        (remove("model.encoder.alphabet.pad"), "model.encoder.alphabet: missing keys: pad"),
        (set_at("model.out_width", "3"), "model.out_width: expected int, got '3'"),
        (set_at("model.out_width", True), "model.out_width: expected int, got True"),
        (set_at("model.out_width", 3.0), "model.out_width: expected int, got 3.0"),
        (set_at("model.out_width", None), "model.out_width: expected int, got None"),
        (set_at("model.dropout", False), "model.dropout: expected float, got False"),
        (set_at("model.dropout", 10**400), r"10000+\.\.\.0+ is too large"),
        (set_at("model.encoder.width", 2**63), "9223372036854775808 is too large"),
        (set_at("model.encoder.max_bp", -(2**70)), r"-1180591620717411303424 is too large"),
        (set_at("model.encoder.objectives", "counts"), "model.encoder.objectives: expected a list, got 'counts'"),
        (set_at("model.hidden_dims", 64), "model.hidden_dims: expected a list, got 64"),
        (set_at("model.hidden_dims", [64, "32"]), "model.hidden_dims: expected int, got '32'"),
        (set_at("model.hidden_dims", [8] * 100_000), "model: 100000 hidden_dims"),
        (set_at("model.dropout", 1.5), "model: dropout 1.5"),
        (set_at("model.encoder.heads", 5), "model.encoder: 5 heads do not divide 12"),
        (set_at("model.encoder.bases_per_token", 3), "model.encoder: bases_per_token 3: must be 1, 2 or 4"),
        (set_at("model.encoder.asv_layers", 10**9), "model.encoder: asv_layers 1000000000"),
        (set_at("model.encoder.alphabet.size", 10**12), "model.encoder.alphabet: alphabet size"),
    ],
)
def test_wrong_configs_are_rejected(change: Callable[[Content], None], message: str, content: Content) -> None:
    change(content)
    with pytest.raises(ModelError, match=f"^config.json: {message}") as caught:
        config_from_json(json.dumps(content), "config.json")
    assert len(str(caught.value)) < 300


def test_a_newer_format_is_reported_before_anything_else(content: Content) -> None:
    content |= {"format_version": 10, "something": "new"}
    with pytest.raises(ModelError, match="format version 10 is newer"):
        config_from_json(json.dumps(content), "config.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 1}', "duplicate key 'a'"),
        ('{"x": [{"a": 1, "b": 2, "a": 3}]}', "duplicate key 'a'"),
        ('{"a": NaN}', "NaN is not allowed"),
        ('{"a": -Infinity}', "-Infinity is not allowed"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": -1e999}', "-1e999 is too large"),
        ('{"a": ' + "9" * 5000 + "}", r"9+\.\.\.9+ is too large"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a":' * 100_000, "not valid JSON"),
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("\ufeff{}", "not valid JSON"),
        ("{'a': 1}", "not valid JSON"),
        ("{} {}", "not valid JSON"),
    ],
    ids=lambda text: text[:30],
)
def test_loose_json_is_rejected(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=f"^x.json: {message}"):
        parse_strict_json(text, "x.json")


def test_plain_json_is_read() -> None:
    assert parse_strict_json('{"a": [1, 2.5, null, true, "\\u00e9"]}', "x.json") == {
        "a": [1, 2.5, None, True, "\u00e9"]
    }
