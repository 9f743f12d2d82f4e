"""Codes for missing values among numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aam_data.options.files import MetadataOptions
from aam_data.options.targets import TargetOptions
from aam_data.readers.metadata.metadata import read_metadata
from aam_data.splits.selection import target_notes
from aam_data.study.missing_codes import missing_codes

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([20, 31, 44, -999, -999], {"-999": 2}),
        ([20, 31, 44, 9999, 9999, 9999, NAN], {"9999": 3}),
        ([0.5, 3, 7, -1, -1], {"-1": 2}),
        ([-5, 3, 7, -1, -1], {}),  # negative numbers are usual here
        ([0, 3, 7, -1, -1], {}),  # one step below 0, where others are
        ([60, 80, 98, 99, 99], {}),  # an age
        ([20, 31, 44, -999], {}),  # once: perhaps a mistake, not a code
        ([20, 31, 44, -998, -998], {}),  # nobody writes this for missing
        ([900, 950, 999, 999, 1100], {}),
        ([-999, -999], {}),
        ([20, 30, -999, -999, 9999, 9999], {"-999": 2, "9999": 2}),
    ],
)
def test_what_counts_as_a_code(values: list[float], expected: dict[str, int]) -> None:
    assert missing_codes(np.array(values, dtype=np.float64)) == expected


def test_the_warning_names_the_option(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text("sample-id\tage\n" + "".join(f"s{i}\t{v}\n" for i, v in enumerate([20, 31, 44, -999, -999])))
    metadata = read_metadata(path, MetadataOptions())
    (note,) = target_notes(metadata, TargetOptions(("age",)))
    assert note == (
        "warning: age has values far outside of all others that may mean missing: -999 (2); if so, pass --na-value -999"
    )
    declared = read_metadata(path, MetadataOptions(na_value=("-999",)))
    assert target_notes(declared, TargetOptions(("age",))) == []
