"""Scale of the target by its options, in the current spelling and in older ones."""

from __future__ import annotations

import re
from typing import Any

import pytest

from aam_data.options.targets import TargetOptions, TargetScale

PLACE = ("location", "season")


@pytest.mark.parametrize(
    ("options", "scale"),
    [
        ({}, TargetScale("minmax")),
        ({"target_transform": "none"}, TargetScale("none")),
        ({"target_transform": "log-zscore"}, TargetScale("log-zscore")),
        ({"normalize_by": ("location, season",)}, TargetScale("zscore", PLACE)),
        ({"normalize_by": PLACE, "target_transform": "zscore-category"}, TargetScale("zscore", PLACE)),
        ({"normalize_by": PLACE, "target_transform": "zscore"}, TargetScale("zscore", PLACE)),
        ({"normalize_by": PLACE, "target_transform": "log-minmax"}, TargetScale("log-minmax", PLACE)),
        ({"normalize_targets": True}, TargetScale("minmax")),
        ({"normalize_targets": False}, TargetScale("none")),
        ({"normalize_targets_by": PLACE}, TargetScale("zscore", PLACE)),
        ({"normalize_targets_by": PLACE, "normalize_targets": True}, TargetScale("zscore", PLACE)),
        ({"log_transform_targets": True}, TargetScale("log-minmax")),
        ({"log_transform_targets": True, "normalize_targets": True}, TargetScale("log-minmax")),
        ({"log_transform_targets": True, "normalize_targets_by": PLACE}, TargetScale("log-zscore", PLACE)),
        ({"log_transform_targets": True, "normalize_by": PLACE}, TargetScale("log-zscore", PLACE)),
        ({"log_transform_targets": True, "target_transform": "log-minmax"}, TargetScale("log-minmax")),
        ({"normalize_targets_by": PLACE, "target_transform": "minmax"}, TargetScale("minmax", PLACE)),
    ],
)
def test_what_options_mean(options: dict[str, Any], scale: TargetScale) -> None:
    assert TargetOptions(("y",), **options).scale() == scale


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_transform": "zscore-category"}, "--target-transform zscore-category needs --normalize-by"),
        (
            {"target_transform": "none", "normalize_by": PLACE},
            "--target-transform none and --normalize-by cannot be combined",
        ),
        (
            {"normalize_targets": False, "normalize_targets_by": PLACE},
            "--no-normalize-targets and --normalize-targets-by cannot be combined",
        ),
        (
            {"normalize_targets": False, "log_transform_targets": True},
            "--log-transform-targets is --target-transform log-minmax, which contradicts --no-normalize-targets",
        ),
        (
            {"normalize_targets": False, "target_transform": "zscore"},
            "--no-normalize-targets is --target-transform none, which contradicts --target-transform zscore",
        ),
        (
            {"normalize_targets": True, "target_transform": "none"},
            "--normalize-targets is --target-transform minmax, which contradicts --target-transform none",
        ),
        (
            {"log_transform_targets": True, "target_transform": "zscore"},
            "--log-transform-targets is --target-transform log-minmax, which contradicts --target-transform zscore",
        ),
        ({"normalize_by": PLACE, "normalize_targets_by": PLACE}, "--normalize-targets-by is the older spelling of"),
        ({"normalize_by": ("a", "a")}, "--normalize-by a,a: duplicate column: a"),
        ({"normalize_targets_by": ("a,",)}, "--normalize-targets-by a,: the name of a column is empty"),
        ({"classifier": True, "target_transform": "zscore"}, "leave them out with --classifier"),
        ({"classifier": True, "log_transform_targets": True}, "leave them out with --classifier"),
    ],
)
def test_contradictions_name_both_flags(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TargetOptions(("y",), **options)


def test_older_spellings_are_reported_in_the_current_one() -> None:
    assert TargetOptions(("y",), target_transform="zscore").older_spellings() == []
    target = TargetOptions(("y",), log_transform_targets=True, normalize_targets_by=("location,season",))
    assert target.older_spellings() == ["--normalize-targets-by", "--log-transform-targets"]
    assert target.scale().flags() == "--target-transform log-zscore --normalize-by location,season"
    assert TargetOptions(("y",), normalize_by=("a",)).scale().flags() == (
        "--target-transform zscore-category --normalize-by a"
    )
    assert TargetOptions(("y",), normalize_targets=False).scale().flags() == "--target-transform none"
