"""Options about metadata as input that contradict each other or the files are errors, by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aam_data.errors import DataError
from aam_data.options.files import PhylogenyOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_models.config.conditioning import ConditioningOptions
from aam_models.config.predictor_options import HeadOptions, OutputOptions
from aam_train.options.optimizer import CategoryOptimizerOptions
from aam_train.recipes.train import train

Configs = Callable[..., Any]
CATEGORIES = CategoryOptions(("location,season",), ("age",), None, "auto", "location")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"category": CategoryOptions(("degree_days",))},
            "--categorical-columns degree_days: this column is the target",
        ),
        (
            {"category": CategoryOptions((), ("degree_days",))},
            "--numeric-columns degree_days: this column is the target",
        ),
        (
            {"head": HeadOptions((4,), film_conditioning=("location,degree_days",))},
            "--film-conditioning degree_days: this column is the target",
        ),
        ({"head": HeadOptions(moe_experts=2, moe_routing="host")}, "--moe-routing host: this is the --group-column"),
        (
            {"link": OutputOptions(conditional_output_scaling=("host",))},
            "--conditional-output-scaling host: this is the --group-column",
        ),
        ({"category": CategoryOptions(("host",))}, "--categorical-columns host: this is the --group-column"),
        (
            {"conditioning": ConditioningOptions(categorical_fusion="add")},
            "--categorical-fusion add has nothing to fuse. Pass --categorical-columns or --numeric-columns",
        ),
        ({"conditioning": ConditioningOptions(categorical_embed_dim=8)}, "--categorical-embed-dim 8 has nothing to em"),
        ({"category_optimizer": CategoryOptimizerOptions(1e-2)}, "--categorical-lr 0.01 has nothing to train"),
        (
            {
                "link": OutputOptions(conditional_output_scaling=("location",)),
                "category_optimizer": CategoryOptimizerOptions(1e-2),
            },
            "--categorical-lr 0.01 has nothing to train",
        ),
    ],
)
def test_contradictions_are_refused(sections: dict[str, Any], message: str, train_config: Configs) -> None:
    with pytest.raises(ValueError, match=message):
        train_config(Path("unused"), **sections)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"category": CategoryOptions(("nowhere",))}, "no column nowhere"),
        ({"category": CategoryOptions((), ("location",))}, "column location: values that are not numbers"),
        (
            {"category": CategoryOptions(("season,location",), (), '{"season": "location"}')},
            r"categories have several parents in --categorical-hierarchy \(autumn \(season\) in ",
        ),
        (
            {"category": CategoryOptions(("season",), (), None, '{"monsoon": 2}')},
            r"--categorical-loss-weights names categories that no training sample has \(monsoon\)",
        ),
    ],
)
def test_columns_that_cannot_be_read_are_refused(
    sections: dict[str, Any], message: str, train_config: Configs, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        train(train_config(tmp_path / "run", **sections), quiet=True)


def test_the_rate_of_categories_is_a_rate() -> None:
    for rate in (0.0, -1.0, float("nan"), 11.0):
        with pytest.raises(ValueError, match="--categorical-lr"):
            CategoryOptimizerOptions(rate)


def test_heads_of_cross_attention_divide_the_width(train_config: Configs, tmp_path: Path) -> None:
    config = train_config(
        tmp_path / "run",
        category=CategoryOptions(("location",)),
        conditioning=ConditioningOptions(categorical_fusion="cross-attention", cross_attn_heads=3),
    )
    with pytest.raises(ValueError, match="--cross-attn-heads 3 does not divide the width of the embeddings, 16"):
        train(config, quiet=True)


def test_phylogeny_options_are_unchanged_beside_categories(train_config: Configs, files: Path, tmp_path: Path) -> None:
    """Auxiliary objectives go on beside metadata as input."""
    config = train_config(
        tmp_path / "run",
        run={"epochs": 1},
        category=CategoryOptions(("location",)),
        phylogeny=PhylogenyOptions(tree=files / "tree.nwk"),
    )
    lines = (train(config, quiet=True) / "metrics.jsonl").read_text().splitlines()
    assert set(json.loads(lines[0])["loss"]) == {"total", "target", "unifrac"}
