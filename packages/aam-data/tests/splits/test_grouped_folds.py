"""Splits and folds by a metadata column: groups whole, balance against scikit-learn's StratifiedGroupKFold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from aam_data.options.files import MetadataOptions
from aam_data.options.samples import SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.readers.metadata.metadata import read_metadata
from aam_data.sequences import build_sequences
from aam_data.splits.selection import make_splits
from aam_data.splits.splits import cross_validation
from aam_data.study.study import Study
from aam_data.table import table_from_triplets

CLASSES = ("ill", "well", "unsure")


def study(seed: int, n_hosts: int) -> tuple[np.ndarray, np.ndarray]:
    """Hosts and classes of samples: hosts of 1 to 12 samples, most of whose samples have the host's own class."""
    random = np.random.default_rng(seed)
    host = np.repeat(np.arange(n_hosts), random.integers(1, 13, n_hosts))
    own = random.choice(3, n_hosts, p=[0.5, 0.35, 0.15])[host]
    return host, np.where(random.random(len(host)) < 0.8, own, random.choice(3, len(host)))


def imbalance(fold: np.ndarray, codes: np.ndarray, folds: int) -> float:
    """Return Pearson's chi-square of classes in folds against equal shares."""
    observed = np.zeros((folds, len(CLASSES)))
    np.add.at(observed, (fold, codes), 1)
    expected = observed.sum(axis=0) / folds
    return float(((observed - expected) ** 2 / expected).sum())


@pytest.mark.parametrize(("n_hosts", "folds"), [(25, 5), (60, 5), (60, 3), (150, 10)])
def test_folds_are_balanced_no_worse_than_those_of_scikit_learn(n_hosts: int, folds: int) -> None:
    ours, theirs = [], []
    for seed in range(6):
        host, codes = study(seed, n_hosts)
        ids = [f"s{i:04}" for i in range(len(host))]
        row = {sample_id: i for i, sample_id in enumerate(ids)}
        fold = np.full(len(ids), -1)
        splits = cross_validation(ids, folds, 0.0, seed, [f"h{h}" for h in host], [[CLASSES[c] for c in codes]])
        for number, split in enumerate(splits):
            fold[[row[i] for i in split.test]] = number
        assert len({*zip(host, fold, strict=True)}) == n_hosts  # hosts are whole
        ours.append(imbalance(fold, codes, folds))
        other = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        for number, (_, test) in enumerate(other.split(ids, codes, host)):
            fold[test] = number
        theirs.append(imbalance(fold, codes, folds))
    assert np.mean(ours) <= np.mean(theirs), (ours, theirs)


def test_folds_of_one_study_differ_by_seed_and_one_huge_group_leaves_no_fold_empty() -> None:
    host, codes = study(0, 40)
    ids, hosts, classes = [f"s{i:04}" for i in range(len(host))], [f"h{h}" for h in host], [CLASSES[c] for c in codes]
    found = {cross_validation(ids, 5, 0.0, seed, hosts, [classes])[0].test for seed in range(8)}
    assert len(found) >= 6
    huge = ["a"] * 90 + ["b"] * 5 + ["c"] * 5
    folds = cross_validation([f"s{i:03}" for i in range(100)], 3, 0.0, 0, huge, [["x", "y"] * 50])
    assert sorted(len(split.test) for split in folds) == [5, 5, 90]


@pytest.mark.parametrize("folds", [0, 4])
@pytest.mark.parametrize("calibration_size", [None, 0.2])
def test_groups_of_a_column_are_whole_in_every_part(folds: int, calibration_size: float | None, tmp_path: Path) -> None:
    host, codes = study(1, 30)
    rows = np.arange(len(host))
    lines = [f"s{i:04}\th{host[i]}\t{CLASSES[codes[i]]}" for i in rows]
    file = tmp_path / "metadata.tsv"
    file.write_text("\n".join(["sample-id\thost\tstate", *lines, ""]), encoding="utf-8")
    metadata = read_metadata(file, MetadataOptions())
    ids = metadata.sample_ids
    table = table_from_triplets(rows, 0 * rows, np.ones(len(ids)), ids, np.array(["ACGT"], dtype=object))
    samples = Study(table, build_sequences([b"ACGT"]), metadata)
    target = TargetOptions(("state",), classifier=True)
    every = make_splits(samples, rows, SplitOptions(group_column="host"), 0, target, folds, calibration_size)
    assert len(every) == max(folds, 1)
    host_of = dict(zip(ids, host, strict=True))
    for splits in every:
        part_of = splits.part_of()
        assert sorted(part_of) == sorted(ids)
        assert len({(host_of[i], part) for i, part in part_of.items()}) == 30
        assert bool(splits.calibration) == (calibration_size is not None)
