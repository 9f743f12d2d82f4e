"""`--category-attention`: the weights of each column, by hand from the stored tensors and the metadata file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_models.config.conditioning import ConditioningOptions
from aam_train.options.commands import EmbedOptions, PredictOptions
from aam_train.options.recipe_configs import EmbedConfig, PredictConfig
from aam_train.recipes.embed import embed
from aam_train.recipes.predict import predict
from aam_train.recipes.train import train

HEADS = 2
Weights = dict[str, np.ndarray]


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, dialect="excel-tab"))


def linear(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)


def layer_norm(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def tokens_by_hand(
    weights: Weights, values: list[dict[str, str]], trained: list[dict[str, str]]
) -> dict[str, np.ndarray]:
    """Return a vector [B, D] for each column: codes are 1, 2, ... in the order of the names, 0 for others."""
    tokens = {}
    for number, column in enumerate(("location", "season")):
        names = sorted({row[column] for row in trained})
        code = [names.index(row[column]) + 1 if row[column] in names else 0 for row in values]
        vectors = weights[f"conditioning.embedding.tables.{number}.weight"][code]
        tokens[column] = linear(weights, f"fusion.tokens.categories.{number}", vectors)
    ages = np.array([float(row["age"]) for row in trained])
    scaled = (np.array([float(row["age"]) for row in values]) - ages.mean()) / ages.std()
    covariates = np.stack([scaled, np.zeros_like(scaled)], axis=1)
    tokens["(numeric columns)"] = linear(weights, "fusion.tokens.covariates", covariates)
    return tokens


def test_each_column_has_its_own_weights(train_config: Callable[..., Any], files: Path, tmp_path: Path) -> None:
    config = train_config(
        tmp_path / "run",
        category=CategoryOptions(("location,season",), ("age",)),
        conditioning=ConditioningOptions(categorical_fusion="cross-attention", cross_attn_heads=HEADS),
    )
    run = train(config, quiet=True)
    table, metadata = TableOptions(files / "table.biom"), files / "metadata.tsv"
    options = PredictOptions(run, tmp_path / "p.tsv", device="cpu", category_attention=tmp_path / "attention.tsv")
    predict(PredictConfig(table, options, MetadataOptions(metadata)), quiet=True)
    embed(EmbedConfig(table, EmbedOptions(run, tmp_path / "embeddings.tsv", device="cpu")), quiet=True)
    found, embedded = rows_of(tmp_path / "attention.tsv"), rows_of(tmp_path / "embeddings.tsv")
    ids = [row["sample-id"] for row in found]
    assert ids == [row["sample-id"] for row in embedded]

    stored = load_file(run / "checkpoints" / "best" / "model.safetensors")
    weights = {name: value.astype(np.float64) for name, value in stored.items()}
    of = {next(iter(row.values())): row for row in rows_of(metadata)}
    split = rows_of(run / "splits.tsv")
    trained = [of[row["sample-id"]] for row in split if "train" in row.values()]
    assert 10 < len(trained) < 24
    samples = np.array([[float(value) for value in list(row.values())[1:]] for row in embedded])
    keys = {"(sample)": samples} | tokens_by_hand(weights, [of[i] for i in ids], trained)

    query = linear(weights, "fusion.attend.query", layer_norm(weights, "fusion.attend.query_norm", samples))
    scores = []
    for vectors in keys.values():
        key = linear(weights, "fusion.attend.key", layer_norm(weights, "fusion.attend.key_norm", vectors))
        each = np.split(query * key, HEADS, axis=1)
        scores.append(np.stack([part.sum(axis=1) / np.sqrt(part.shape[1]) for part in each]))
    exponents = np.exp(np.stack(scores))  # [K, H, B]
    expected = (exponents / exponents.sum(axis=0)).mean(axis=1)
    assert list(found[0])[1:] == list(keys)
    for name, by_hand in zip(keys, expected, strict=True):
        np.testing.assert_allclose([float(row[name]) for row in found], by_hand, rtol=2e-4)
    assert np.ptp(expected, axis=0).min() > 1e-3  # columns that are exchanged would be seen
