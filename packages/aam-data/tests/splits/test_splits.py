"""Splits: groups whole, every fold tested once, lists checked, files read back."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions
from aam_data.options.samples import SplitOptions
from aam_data.readers.metadata.metadata import read_metadata
from aam_data.splits.splits import (
    Splits,
    cross_validation,
    read_splits,
    split_samples,
    with_calibration,
    without_calibration,
)

IBD = Path(__file__).parents[5] / "shared/data/ibd/metadata.tsv"
IDS = [f"s{i:03}" for i in range(120)]
HOSTS = [None if i % 40 == 39 else f"h{i % 17}" for i in range(120)]
CLASSES = [("ill", "well", "well")[i % 3] for i in range(120)]
SITES = [("north", "south", "east", None, "north")[i % 5] for i in range(120)]


def test_shares_and_sorted_ids() -> None:
    splits = split_samples(IDS, SplitOptions(), seed=1)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (84, 12, 24)
    assert sorted(splits.train + splits.validation + splits.test) == IDS
    assert list(splits.test) == sorted(splits.test)


@pytest.mark.parametrize("groups", [None, HOSTS])
@pytest.mark.parametrize("strata", [[], [CLASSES], [CLASSES, SITES]])
def test_the_order_of_samples_does_not_matter(groups: list | None, strata: list) -> None:
    order = np.random.default_rng(0).permutation(120)

    def shuffled(values: list | None) -> list | None:
        return values and [values[i] for i in order]

    options = SplitOptions(group_column="host" if groups else None)
    moved = [shuffled(labels) for labels in strata]
    assert split_samples(IDS, options, 1, groups, strata) == split_samples(
        shuffled(IDS), options, 1, shuffled(groups), moved
    )
    assert cross_validation(IDS, 4, 0.1, 1, groups, strata) == cross_validation(
        shuffled(IDS), 4, 0.1, 1, shuffled(groups), moved
    )


def test_a_group_stays_in_one_part_and_a_missing_group_is_alone() -> None:
    options = SplitOptions(group_column="host")
    host = dict(zip(IDS, HOSTS, strict=True))
    missing_apart = False
    for seed in range(20):
        part = split_samples(IDS, options, seed, HOSTS).part_of()
        parts_of_host = {(host[i], part[i]) for i in IDS if host[i]}
        assert len(parts_of_host) == 17
        missing_apart |= len({part[i] for i in IDS if host[i] is None}) > 1
    assert missing_apart


def test_a_group_named_like_nothing_is_not_the_missing_group() -> None:
    groups = ["", "", None, None, "a", "a"]
    part = split_samples(list("uvwxyz"), SplitOptions(group_column="g"), 0, groups).part_of()
    assert part["u"] == part["v"]
    assert part["y"] == part["z"]


def test_classes_are_stratified() -> None:
    splits = split_samples(IDS, SplitOptions(), 3, strata=[CLASSES])
    cls = dict(zip(IDS, CLASSES, strict=True))
    assert Counter(cls[i] for i in splits.test) == {"ill": 8, "well": 16}
    assert Counter(cls[i] for i in splits.validation) == {"ill": 4, "well": 8}


@pytest.mark.parametrize(
    ("groups", "strata", "test"),
    [
        (None, [CLASSES], "s002 s016 s043 s044 s049 s053 s071 s072 s074 s075 s081 s108"),
        (HOSTS, [CLASSES, SITES], "s005 s009 s022 s026 s043 s056 s060 s073 s077 s090 s094 s107 s111"),
    ],
)
def test_the_samples_of_a_seed_stay_the_same(groups: list | None, strata: list, test: str) -> None:
    """Models of different versions are compared on the held-out samples of a seed."""
    options = SplitOptions(test_size=0.1, group_column="host" if groups else None)
    assert list(split_samples(IDS, options, 42, groups, strata).test) == test.split()


def test_one_long_text_takes_no_room_in_the_others() -> None:
    groups = [f"h{i // 4}" for i in range(119)] + ["x" * 131_072]
    tracemalloc.start()
    try:
        splits = split_samples(IDS, SplitOptions(group_column="host"), 1, groups, [groups])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sorted(splits.part_of()) == IDS
    assert peak < 5e6  # 120 x 131,072 characters are 63 MB


def test_parts_may_be_switched_off() -> None:
    splits = split_samples(IDS, SplitOptions(test_size=0, val_size=0.25), 1)
    assert (len(splits.train), len(splits.validation), splits.test) == (90, 30, ())


def test_the_error_about_too_few_groups_has_a_remedy() -> None:
    with pytest.raises(
        DataError, match=r"1 group of --group-column site cannot .*\. Use a --group-column with more groups"
    ):
        split_samples(["a", "b"], SplitOptions(group_column="site"), 1, ["x", "x"])
    with pytest.raises(DataError, match="2 groups of --group-column site cannot be divided into train, valid"):
        split_samples(IDS, SplitOptions(group_column="site"), 1, ["a", "b"] * 60)
    with pytest.raises(DataError, match=r"2 samples cannot be divided.*--val-size 0 or --test-size 0$"):
        split_samples(IDS[:2], SplitOptions(), 1)


@pytest.mark.parametrize("groups", [None, HOSTS])
def test_folds_test_every_sample_once(groups: list | None) -> None:
    folds = cross_validation(IDS, 5, 0.1, 1, groups, [CLASSES])
    assert sorted(i for splits in folds for i in splits.test) == IDS
    for splits in folds:
        assert sorted(splits.part_of()) == IDS
        assert 20 <= len(splits.test) <= 28
        assert 9 <= len(splits.validation) <= 15
        if groups is not None:
            host = dict(zip(IDS, groups, strict=True))
            assert len({(host[i], part) for i, part in splits.part_of().items() if host[i]}) == 17


def test_folds_without_validation_and_impossible_folds() -> None:
    assert all(splits.validation == () for splits in cross_validation(IDS, 3, 0.0, 1))
    with pytest.raises(DataError, match=r"2 folds and --val-size 0.5 leave no sample"):
        cross_validation(IDS, 2, 0.5, 1)
    with pytest.raises(DataError, match="3 groups are too few for 4 folds"):
        cross_validation(IDS, 4, 0.1, 1, ["a", "b", "c"] * 40)
    with pytest.raises(DataError, match="3 groups are too few for 2 folds"):
        cross_validation(IDS, 2, 0.1, 1, ["a", "b", "c"] * 40)


def list_files(folder: Path, **lists: str) -> SplitOptions:
    for name, text in lists.items():
        (folder / name).write_text(text)
    return SplitOptions(**{f"{name}_samples": folder / name for name in lists})


def test_lists_of_ids(tmp_path: Path) -> None:
    options = list_files(tmp_path, train="\ufeffs002\ns001\r\n\n", val=" s003 \n", test="s004\nshallow")
    splits = split_samples(IDS, options, 1, left_out={"shallow"})
    assert splits == Splits(train=("s001", "s002"), validation=("s003",), test=("s004",))


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train": "s001\nx\ny", "val": "s002"}, r"train: 2 samples are not in the table \(x, y\)"),
        ({"train": "s001", "val": "s001"}, r"val: 1 samples are in another list too \(s001 \(also train\)\)"),
        ({"train": "s001\ns001", "val": "s002"}, r"train: sample ids that appear more than once \(s001\)"),
        ({"train": "s001", "val": "\n"}, "val: contains no sample id"),
        ({"train": "s001", "val": "shallow"}, "val: none of its samples can be used"),
    ],
)
def test_bad_lists_are_rejected(tmp_path: Path, lists: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_samples(IDS, list_files(tmp_path, **lists), 1, left_out=["shallow"])


def test_a_list_in_another_encoding_is_rejected(tmp_path: Path) -> None:
    options = list_files(tmp_path, train="s001", val="s002")
    (tmp_path / "val").write_bytes(b"s\xe9\n")
    with pytest.raises(DataError, match="val: not UTF-8 text"):
        split_samples(IDS, options, 1)


def test_lists_that_split_a_group_are_rejected(tmp_path: Path) -> None:
    options = list_files(tmp_path, train="s000\ns001", val="s017")
    with pytest.raises(DataError, match=r"split 1 groups of --group-column None \(h0\)"):
        split_samples(IDS, options, 1, HOSTS)


def test_files_are_read_back(tmp_path: Path) -> None:
    splits = Splits(train=('"quoted"', "a\tb"), validation=("001",), test=())
    path = tmp_path / "splits.tsv"
    splits.write(path, {'"quoted"': "h1", "a\tb": None, "001": "h\u00e9"})
    assert read_splits(path) == splits
    assert path.read_text(encoding="utf-8").splitlines()[-1] == '"a\tb"\ttrain\t'
    assert [file.name for file in tmp_path.iterdir()] == ["splits.tsv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file is empty"),
        ("\n", "the header is not sample-id, split, group"),
        ("sample-id\tsplit\ngroup", "the header is not"),
        ("sample-id\tsplit\tgroup\ns1\ttraining\t\ns2\n", r"and a group \(row 2, row 3\)"),
        ("sample-id\tsplit\tgroup\ns1\ttrain\t\ns1\ttest\t\n", r"listed twice \(s1\)"),
        ('sample-id\tsplit\tgroup\n"s1\ttrain\t\n', "not a file of splits"),
    ],
)
def test_other_files_are_rejected(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "splits.tsv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_splits(path)


def test_summary_counts_samples_groups_and_the_ungrouped() -> None:
    splits = Splits(train=("a", "b", "c"), validation=("d",), test=("e", "f"))
    assert splits.summary() == "3 samples for training, 1 samples for validation, 2 samples held out"
    groups = {"a": "h", "b": "h", "c": None, "d": "i", "e": None, "f": None}
    assert splits.summary(groups) == (
        "3 samples (2 groups) for training, 1 samples (1 groups) for validation, 2 samples (2 groups) held out;"
        " 3 samples without a group count as one each"
    )


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_groups_are_never_split(data: st.DataObject) -> None:
    """Any groups, any strata, any seed: every sample once, every group on one side, in splits and in folds."""
    n = data.draw(st.integers(12, 60))
    ids = IDS[:n]
    group = st.one_of(st.none(), st.sampled_from([f"h{i}" for i in range(8)]))
    groups = data.draw(st.lists(group, min_size=n, max_size=n))
    labels = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=n, max_size=n)
    strata = data.draw(st.lists(labels, max_size=2))
    seed = data.draw(st.integers(0, 2**63 - 1))
    n_units = len(set(groups) - {None}) + groups.count(None)
    assume(n_units >= 6)
    made = [split_samples(ids, SplitOptions(group_column="host"), seed, groups, strata)]
    folds = cross_validation(ids, 3, 0.1, seed, groups, strata)
    assert sorted(i for splits in folds for i in splits.test) == ids
    for splits in [*made, *folds]:
        part = splits.part_of()
        assert sorted(part) == ids
        assert splits.train
        parts_of_host = {(host, part[i]) for i, host in zip(ids, groups, strict=True) if host is not None}
        assert len(parts_of_host) == len(set(groups) - {None})


@pytest.mark.skipif(not IBD.exists(), reason="real data are not at ../shared/data")
def test_hosts_of_a_real_study_are_held_out_in_balance() -> None:
    """ibd has 24 hosts: every fold and part of it should have patients and controls."""
    metadata = read_metadata(IBD, MetadataOptions())
    ids, hosts, classes = metadata.sample_ids, metadata.text("host_subject_id"), metadata.text("ibd")
    known = np.array([value is not None for value in classes])
    ids, hosts, classes = ids[known], hosts[known], classes[known]
    ill = dict(zip(ids, classes == "Crohns", strict=True))
    splits = split_samples(ids, SplitOptions(group_column="host_subject_id"), 42, hosts, [classes])
    assert abs(len(splits.test) / len(ids) - 0.2) < 0.05
    for one in [splits, *cross_validation(ids, 5, 0.1, 42, hosts, [classes])]:
        for part in (one.train, one.validation, one.test):
            assert 0.2 < np.mean([ill[i] for i in part]) < 0.7


def test_lists_of_ids_are_not_stratified(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--stratify-column and --train-samples cannot be combined"):
        SplitOptions(stratify_column="sex", train_samples=tmp_path / "a", val_samples=tmp_path / "b")


FORTY = IDS[:40]
FOURS: dict[str, str | None] = {name: f"h{number // 4}" for number, name in enumerate(FORTY)}
SPLITS = Splits(train=tuple(FORTY[:28]), validation=tuple(FORTY[28:32]), test=tuple(FORTY[32:]))


def test_groups_stay_whole_and_other_parts_as_they_are(tmp_path: Path) -> None:
    found = with_calibration(SPLITS, 0.25, 3, FOURS)
    assert (found.validation, found.test) == (SPLITS.validation, SPLITS.test)
    assert sorted(found.train + found.calibration) == list(SPLITS.train)
    assert len(found.calibration) == 8
    assert not {FOURS[i] for i in found.train} & {FOURS[i] for i in found.calibration}
    assert found == with_calibration(SPLITS, 0.25, 3, FOURS)
    assert found.summary().endswith("8 samples held out, 8 samples for calibration")
    found.write(tmp_path / "splits.tsv", FOURS)
    assert read_splits(tmp_path / "splits.tsv") == found


def test_what_calibrates_already_stays_and_trains_where_nothing_is_calibrated() -> None:
    found = with_calibration(SPLITS, 0.25, 3, FOURS)
    assert with_calibration(found, 0.5, 4, FOURS) is found
    assert without_calibration(found) == SPLITS
    assert without_calibration(SPLITS) == SPLITS


def test_a_single_group_cannot_be_divided() -> None:
    with pytest.raises(DataError, match="1 group of --group-column"):
        with_calibration(Splits(tuple(FORTY[:4]), (), ()), 0.5, 0, FOURS)
