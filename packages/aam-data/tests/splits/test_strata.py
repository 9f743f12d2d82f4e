"""Balance of splits: classes, quarters of numbers, an additional column."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions
from aam_data.options.samples import SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.readers.metadata.metadata import Metadata, read_metadata
from aam_data.sequences import build_sequences
from aam_data.splits.selection import make_splits
from aam_data.splits.strata import group_codes, label_codes, quarters, strata_of
from aam_data.study.study import Study
from aam_data.table import table_from_triplets

IBD = Path(__file__).parents[5] / "shared/data/ibd/metadata.tsv"
ROWS = np.arange(12)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Metadata]:
    def metadata_of(text: str) -> Metadata:
        path = tmp_path / "metadata.tsv"
        path.write_text(text)
        return read_metadata(path, MetadataOptions())

    return metadata_of


@pytest.fixture
def metadata(read: Callable[[str], Metadata]) -> Metadata:
    rows = [f"s{i:02}\t{i * i}\t{'ill' if i % 3 else 'well'}\t{i % 4}\tu{i}" for i in range(12)]
    return read("\n".join(["sample-id\tage\tstate\tplate\tname", *rows, ""]).replace("s05\t25", "s05\tmissing"))


def test_quarters_by_hand() -> None:
    values = np.array([4.0, 1, 3, 2, np.nan, 8, 7, 6, 5])
    found = [label and label[0] for label in quarters(values)]
    assert found == ["2", "1", "2", "1", None, "4", "4", "3", "3"]
    assert quarters(np.array([np.nan])).tolist() == [None]
    assert len(set(quarters(np.array([0.0, 0, 0, 0, 0, 0, 0, 9])))) == 2


def test_targets_and_a_column(metadata: Metadata) -> None:
    assert strata_of(None, ROWS, None, None) == strata_of(metadata, ROWS, None, None) == []
    (state,) = strata_of(metadata, ROWS, TargetOptions(("state",), classifier=True), None)
    assert state.tolist() == metadata.text("state").tolist()
    (age,) = strata_of(metadata, ROWS, TargetOptions(("age",)), None)
    assert age[5] is None
    assert sorted(list(age).count(quarter) for quarter in set(age) - {None}) == [2, 3, 3, 3]
    age, plate = strata_of(metadata, ROWS[:8], TargetOptions(("age",)), "plate")
    assert (len(age), plate.tolist()) == (8, ["0", "1", "2", "3"] * 2)


def test_the_column_of_the_target_counts_once_and_numbers_count_by_quarters(metadata: Metadata) -> None:
    """So `aam pretrain --stratify-column age` divides like `aam train --metadata-column age`."""
    for column, target in (("age", TargetOptions(("age",))), ("state", TargetOptions(("state",), classifier=True))):
        (of_target,) = strata_of(metadata, ROWS, target, column)
        (of_column,) = strata_of(metadata, ROWS, None, column)
        assert of_target.tolist() == of_column.tolist()


def test_columns_that_cannot_be_balanced(metadata: Metadata, read: Callable[[str], Metadata]) -> None:
    with pytest.raises(DataError, match="column name: no two samples have the same value"):
        strata_of(metadata, ROWS, None, "name")
    with pytest.raises(DataError, match=r"no column plat.*Nearest: plate"):
        strata_of(metadata, ROWS, None, "plat")
    text = "sample-id\tzip\n#q2:types\tcategorical\n" + "".join(f"s{i}\t{90000 + i // 2}\n" for i in range(20))
    (codes,) = strata_of(read(text), np.arange(20), None, "zip")
    assert len(set(codes)) == 10  # declared categorical, so no quarters


def test_a_column_without_a_value(read: Callable[[str], Metadata]) -> None:
    metadata = read("sample-id\tempty\n" + "".join(f"s{i}\t\n" for i in range(5)))
    with pytest.raises(DataError, match=r"column empty: no sample has a value\. Choose another --stratify-column"):
        strata_of(metadata, np.arange(5), None, "empty")


def test_numbers_are_columns_that_the_metadata_call_numeric(read: Callable[[str], Metadata]) -> None:
    """A word for missing among numbers is missing, as in a target; another word makes a column categorical."""
    numbers = [f"s{i}\t{i}\t{i // 2}" for i in range(20)]
    metadata = read("\n".join(["sample-id\tage\tsize", *numbers, "x\tNA\t<5", ""]))
    rows = np.arange(21)
    (age,) = strata_of(metadata, rows, None, "age")
    (target,) = strata_of(metadata, rows, TargetOptions(("age",)), None)
    assert age.tolist() == target.tolist()
    assert age[-1] is None
    (size,) = strata_of(metadata, rows, None, "size")
    assert size.tolist() == metadata.text("size").tolist()


def test_codes_are_sorted_and_one_long_text_takes_no_room_in_the_others() -> None:
    texts = ["b", None, "a", "x" * 131_072, "b", None, "\u00e9"] + ["b"] * 5000
    tracemalloc.start()
    try:
        names, codes = label_codes(texts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (names[:2], names[3], len(names)) == (["a", "b"], "\u00e9", 4)
    assert codes[:7].tolist() == [1, -1, 0, 2, 1, -1, 3]
    assert group_codes(texts)[:7].tolist() == [1, 4, 0, 2, 1, 5, 3]
    assert peak < 2e6


def test_regression_targets_are_balanced_by_default(metadata: Metadata) -> None:
    ids = metadata.sample_ids
    table = table_from_triplets(ROWS, np.zeros(12, dtype=int), np.ones(12), ids, np.array(["ACGT"], dtype=object))
    study = Study(table, build_sequences([b"ACGT"]), metadata)
    options = SplitOptions(test_size=1 / 3, val_size=0)
    quarter = dict(zip(ids, quarters(metadata.numeric("age")), strict=True))
    for seed in range(10):
        (splits,) = make_splits(study, ROWS, options, seed, TargetOptions(("age",)))
        found = [quarter[i] for i in splits.test if quarter[i] is not None]
        assert len(set(found)) == len(found) >= 3


@pytest.mark.skipif(not IBD.exists(), reason="real data are not at ../shared/data")
def test_quarters_halve_the_shift_of_a_real_target() -> None:
    """Age in ibd is a matter of 24 hosts: parts of whole hosts differ less when quarters are balanced."""
    metadata = read_metadata(IBD, MetadataOptions())
    ids, age = metadata.sample_ids, metadata.numeric("age")
    rows = np.arange(len(ids))
    table = table_from_triplets(rows, 0 * rows, np.ones(len(ids)), ids, np.array(["ACGT"], dtype=object))
    study = Study(table, build_sequences([b"ACGT"]), metadata)
    value = dict(zip(ids, age, strict=True))

    def shift(target: TargetOptions | None, seed: int) -> float:
        (splits,) = make_splits(study, rows, SplitOptions(group_column="host_subject_id"), seed, target)
        test, train = (np.mean([value[i] for i in part]) for part in (splits.test, splits.train))
        return float(abs(test - train) / age.std())

    plain, balanced = (
        np.mean([shift(target, seed) for seed in range(10)]) for target in (None, TargetOptions(("age",)))
    )
    assert balanced < 0.6 * plain
