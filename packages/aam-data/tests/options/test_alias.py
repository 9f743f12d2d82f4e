"""The field's own words for values and for options."""

from __future__ import annotations

from typing import get_args

import pytest

from aam_data.options.alias import _OTHER_NAMES, _WORDS, choice_of, option_called
from aam_data.options.base import PhylogeneticTarget, TransformKind


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("unifrac", "unifrac"),
        ("unweighted", "unifrac"),
        ("Unweighted-UniFrac", "unifrac"),
        ("weighted", "weighted"),
        ("weighted_normalized_unifrac", "weighted"),
        ("normalized weighted", "weighted"),
        ("weighted_unifrac", "weighted_unnormalized"),
        ("WEIGHTED-UNNORMALIZED", "weighted_unnormalized"),
        ("generalized_unifrac", "generalized"),
        ("Faith_PD", "faith_pd"),
        ("bray_curtis", None),
    ],
)
def test_metrics_of_unifrac(value: str, meaning: str | None) -> None:
    assert choice_of(value, ["unifrac", "weighted", "weighted_unnormalized", "generalized", "faith_pd"]) == meaning


def test_a_word_means_a_value_of_the_option() -> None:
    assert choice_of("drop", ("error", "ignore")) == "ignore"
    assert choice_of("drop", ("error", "drop")) == "drop"
    assert choice_of("log_zscore", get_args(TransformKind)) == "log-zscore"
    assert choice_of("L2", ("mse", "mae")) == "mse"
    assert choice_of("roc-auc", ("accuracy", "auc")) == "auc"


def test_no_word_stands_for_two_values_of_one_option() -> None:
    for choices in (get_args(TransformKind), ("unifrac", "weighted", "weighted_unnormalized", "generalized")):
        words = [word for choice in choices for word in _WORDS.get(choice, ())]
        assert len(words) == len(set(words))
        assert not set(words) & set(choices)
    assert set(_OTHER_NAMES)
    assert "unifrac" in str(PhylogeneticTarget)


def test_other_names_of_options() -> None:
    options = ["metadata_column", "group_column", "rarefy_depth"]
    assert option_called("--target", options) == "metadata_column"
    assert option_called("sampling-depth", options) == "rarefy_depth"
    assert option_called("--output", ["output_dir"]) == "output_dir"
    assert option_called("--other", options) is None
