"""Splits that hold out one value of a column at a time."""

from __future__ import annotations

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.samples import SplitOptions
from aam_data.splits.held_out_values import hold_out_values

IDS = [f"s{k:02d}" for k in range(60)]
STUDIES: list[str | None] = [f"study {k // 20}" for k in range(60)]
HOSTS: list[str | None] = [f"h{k // 2}" for k in range(60)]
OPTIONS = SplitOptions(val_size=0.1, group_column="host")


def test_each_value_is_held_out_once_and_groups_stay_whole() -> None:
    strata = [np.array(["a", "b", "b", "a"] * 15, dtype=object)]
    splits = hold_out_values(IDS, STUDIES, "study", OPTIONS, 1, HOSTS, strata)
    assert [split.test for split in splits] == [tuple(IDS[start : start + 20]) for start in (0, 20, 40)]
    host_of = dict(zip(IDS, HOSTS, strict=True))
    for split in splits:
        assert sorted((*split.train, *split.validation, *split.test)) == IDS
        assert len(split.validation) == 6  # a tenth of all samples
        assert not {host_of[i] for i in split.train} & {host_of[i] for i in split.validation}


def test_the_order_of_the_samples_has_no_effect() -> None:
    order = np.random.default_rng(0).permutation(60)
    shuffled = [[values[k] for k in order] for values in (IDS, STUDIES, HOSTS)]
    found = hold_out_values(shuffled[0], shuffled[1], "study", OPTIONS, 1, shuffled[2])  # type: ignore[arg-type]
    assert found == hold_out_values(IDS, STUDIES, "study", OPTIONS, 1, HOSTS)


def test_samples_without_a_value_are_left_out_and_counted() -> None:
    values = [None, *STUDIES[1:]]
    splits = hold_out_values(IDS, values, "study", SplitOptions(val_size=0.0), 1)
    assert all("s00" not in split.part_of() for split in splits)
    assert [note.problem for split in splits for note in split.notes] == [
        "1 samples have no value in study and are left out: s00"
    ]


def test_groups_with_several_values_are_an_error() -> None:
    with pytest.raises(DataError, match=r"1 groups of --group-column host have samples of several values.*h9") as error:
        hold_out_values(IDS, STUDIES, "study", OPTIONS, 1, [*HOSTS[:18], "h9", "h9", "h9", *HOSTS[21:]])
    assert error.value.code == "split-divides-groups"


@pytest.mark.parametrize("values", [["one"] * 120, [f"v{k}" for k in range(120)]])
def test_too_few_or_too_many_values(values: list[str | None]) -> None:
    ids = [f"{k:03d}" for k in range(120)]
    with pytest.raises(DataError, match=r"column study: the samples have (1|120) values, and --cv-by makes"):
        hold_out_values(ids, values, "study", SplitOptions(), 1)


def test_validation_must_leave_samples_to_train_on() -> None:
    values = ["large"] * 55 + ["small"] * 5
    with pytest.raises(DataError, match=r"without 'large', --val-size 0.1 leaves no sample to train on"):
        hold_out_values(IDS, values, "study", SplitOptions(val_size=0.1), 1)
