"""Rarefaction that takes a target's classes away is blamed, not the column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.splits.depth_effects import check_values_left
from aam_data.table import CountTable, SampleCounts

DEPTHS = np.array([100, 110, 120, 130, 900, 950])
CLASSES = np.array(["a", "a", "b", None, "c", "c"], dtype=object)


def effects(depth: int, values: np.ndarray = CLASSES) -> list[str]:
    names = np.array([f"s{number}" for number in range(len(DEPTHS))], dtype=object)
    data = SampleCounts(np.arange(len(DEPTHS) + 1), np.zeros(len(DEPTHS), dtype=np.int64), DEPTHS)
    table = CountTable(names, np.array(["f"], dtype=object), data)
    return check_values_left(table, depth, depth <= DEPTHS, values, "sex", Path("metadata.tsv"))


def test_no_class_is_lost() -> None:
    assert effects(0) == effects(100) == effects(110) == []


def test_lost_classes_are_named() -> None:
    assert effects(115) == [
        "warning: 4 of 6 samples have the 115 reads of --rarefy-depth, and of 3 values of sex 2 are left; without "
        "samples: a: 2. --rarefy-depth 100 would keep at least 95% of the samples"
    ]


def test_a_single_class_left_is_an_error_with_a_depth() -> None:
    message = (
        r"metadata.tsv: column sex: 2 of 6 samples have the 200 reads of --rarefy-depth, and of 3 values of sex 1 are "
        r"left \(a: 2 samples, then 0, .*c: 2 samples, then 2.*\)\. --rarefy-depth 100 would keep at least 95%"
    )
    with pytest.raises(DataError, match=message):
        effects(200)
    with pytest.raises(DataError, match="of 3 values of sex 0 are left"):
        effects(2000)
