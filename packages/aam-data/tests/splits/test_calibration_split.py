"""Samples that calibrate are whole groups of those that would train."""

from __future__ import annotations

from pathlib import Path

import pytest

from aam_data.errors import DataError
from aam_data.splits.calibration_split import with_calibration, without_calibration
from aam_data.splits.splits import Splits, read_splits

IDS = [f"s{number:02}" for number in range(40)]
GROUPS: dict[str, str | None] = {name: f"h{number // 4}" for number, name in enumerate(IDS)}
SPLITS = Splits(train=tuple(IDS[:28]), validation=tuple(IDS[28:32]), test=tuple(IDS[32:]))


def test_groups_stay_whole_and_other_parts_as_they_are(tmp_path: Path) -> None:
    found = with_calibration(SPLITS, 0.25, 3, GROUPS)
    assert (found.validation, found.test) == (SPLITS.validation, SPLITS.test)
    assert sorted(found.train + found.calibration) == list(SPLITS.train)
    assert len(found.calibration) == 8
    assert not {GROUPS[i] for i in found.train} & {GROUPS[i] for i in found.calibration}
    assert found == with_calibration(SPLITS, 0.25, 3, GROUPS)
    assert found.summary().endswith("8 samples are held out, 8 samples calibrate")
    found.write(tmp_path / "splits.tsv", GROUPS)
    assert read_splits(tmp_path / "splits.tsv") == found


def test_what_calibrates_already_stays_and_trains_where_nothing_is_calibrated() -> None:
    found = with_calibration(SPLITS, 0.25, 3, GROUPS)
    assert with_calibration(found, 0.5, 4, GROUPS) is found
    assert without_calibration(found) == SPLITS
    assert without_calibration(SPLITS) == SPLITS


def test_a_single_group_cannot_be_divided() -> None:
    with pytest.raises(DataError, match="1 groups of --group-column"):
        with_calibration(Splits(tuple(IDS[:4]), (), ()), 0.5, 0, GROUPS)
