"""Warnings about splits: none for sound studies, and with numbers that can be checked for unsound ones."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from aam_data.checks.leaks import (
    Leak,
    SharedCommunities,
    SharedGroups,
    TargetFollowsColumn,
    TargetFollowsDepth,
    TargetFollowsInput,
    find_leaks,
    leak_notes,
    suspicious_columns,
)
from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.samples import SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.options.targets import TargetOptions
from aam_data.readers.metadata.metadata import Metadata, read_metadata
from aam_data.sequences import build_sequences
from aam_data.simulate.study import simulate_study
from aam_data.splits.selection import make_splits, select_samples
from aam_data.splits.splits import Splits
from aam_data.study.study import Study, read_study
from aam_data.table import CountTable, SampleCounts

IBD = Path(__file__).parents[5] / "shared/data/ibd"
DEGREE_DAYS = TargetOptions(("degree_days",))
STATUS = TargetOptions(("status",), classifier=True)


def metadata_of(folder: Path, frame: pd.DataFrame) -> Metadata:
    frame.to_csv(folder / "metadata.tsv", sep="\t", index_label="sample-id")
    return read_metadata(folder / "metadata.tsv", MetadataOptions())


def simulated(folder: Path, **options: float) -> Study:
    study = simulate_study(SimulateOptions(**({"samples": 160, "asvs": 200, "hosts": 40, "bases": 40} | options)))
    sequences = build_sequences([name.encode() for name in study.table.feature_ids])
    return Study(study.table, sequences, metadata_of(folder, study.metadata))


def leaks_of(study: Study, target: TargetOptions | None, group: str | None, seed: int = 42) -> list[Leak]:
    rows = select_samples(study, 0, target).rows
    (splits,) = make_splits(study, rows, SplitOptions(group_column=group), seed, target)
    return find_leaks(study, splits, target, group, 1000)


@pytest.mark.parametrize("target", [DEGREE_DAYS, STATUS, TargetOptions(("age", "degree_days")), None])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_sound_study_is_sound(tmp_path: Path, target: TargetOptions | None, seed: int) -> None:
    study = simulated(tmp_path, seed=seed, plates=4, batch_effect=1.0)
    leaks = leaks_of(study, target, "host", seed)
    assert [leak for leak in leaks if leak.level == "warning"] == []
    assert [(leak.column, leak.hosts) for leak in leaks if isinstance(leak, SharedGroups)] == [("plate", False)]


def test_hosts_on_both_sides(tmp_path: Path) -> None:
    study = simulated(tmp_path)
    assert study.metadata is not None
    rows = np.arange(160)
    (splits,) = make_splits(study, rows, SplitOptions(), 42, DEGREE_DAYS)
    host = dict(zip(study.metadata.sample_ids, study.metadata.text("host"), strict=True))
    there = {host[i] for i in splits.train}
    shared = sum(host[i] in there for i in splits.test + splits.validation)
    (leak,) = find_leaks(study, splits, DEGREE_DAYS, None, 1000)
    assert leak == SharedGroups("host", shared, 48, True)
    assert leak.text == (
        f"{shared} of the 48 test and validation samples share their host with training samples, so a model "
        "that memorises it scores too well; --group-column host keeps its values on one side"
    )
    assert leak_notes(study, splits, DEGREE_DAYS, None, 1000) == [f"warning: {leak.text}"]


def test_a_target_that_plates_predict(tmp_path: Path) -> None:
    """Plates are filled in the order of the environment; groups are hosts, whose samples are not independent."""
    study = simulated(tmp_path, plates=5, plate_confounding=1.0)
    assert study.metadata is not None
    for target, minimum in ((DEGREE_DAYS, 0.8), (STATUS, 0.5)):
        leaks = leaks_of(study, target, "host")
        (leak,) = [leak for leak in leaks if leak.level == "warning"]
        assert isinstance(leak, TargetFollowsColumn)
        assert (leak.target, leak.column) == (target.metadata_column[0], "plate")
        assert minimum < leak.explained < 1
        assert f"follows plate, which alone explains {leak.explained:.0%}" in leak.text
    assert [type(leak) for leak in leaks_of(study, DEGREE_DAYS, "plate")] == [SharedGroups]  # hosts are torn


def with_depths(study: Study, depths: np.ndarray) -> Study:
    """Add one ASV that brings every sample to its depth."""
    data, n = study.table.data, study.table.n_features
    more = depths - study.table.depths()
    assert (more > 0).all()
    indptr = data.indptr + np.arange(len(data.indptr))
    indices = np.insert(data.indices, data.indptr[1:], n)
    counts = np.insert(data.counts.astype(np.int64), data.indptr[1:], more)
    ids = np.append(study.table.feature_ids, "T" * 40).astype(object)
    sequences = build_sequences([name.encode() for name in ids])
    table = CountTable(study.table.sample_ids, ids, SampleCounts(indptr, indices, counts))
    return replace(study, table=table, sequences=sequences)


def test_a_target_that_depth_predicts(tmp_path: Path) -> None:
    study = simulated(tmp_path)
    assert study.metadata is not None
    stressed = study.metadata.text("status") == "stressed"
    random = np.random.default_rng(0)
    depths = 100_000 + np.rint(random.normal(0, 1000, 160) + 2000 * stressed).astype(int)
    deeper = with_depths(study, depths)
    (leak,) = [leak for leak in leaks_of(deeper, STATUS, "host") if isinstance(leak, TargetFollowsDepth)]
    assert leak.association.value == pytest.approx(1 - roc_auc_score(stressed, depths))
    assert leak.association.class_name == "healthy"
    assert (
        f"predicts status (AUC {1 - leak.association.value:.3f} for healthy: median "
        f"{np.median(depths[~stressed]):,.0f} reads"
    ) in leak.text
    assert "keep --rarefy-depth" in leak.text
    assert "rarefy with --rarefy-depth" in replace(leak, rarefy_depth=0).text
    degree_days = study.metadata.numeric("degree_days")
    deeper = with_depths(study, 100_000 + np.rint(degree_days * 10).astype(int))
    (leak,) = [leak for leak in leaks_of(deeper, DEGREE_DAYS, "host") if isinstance(leak, TargetFollowsDepth)]
    assert "predicts degree_days (rank correlation 1.00)" in leak.text


def test_the_same_community_on_both_sides(tmp_path: Path) -> None:
    study = simulated(tmp_path)
    ids = study.table.sample_ids
    rows = np.r_[np.arange(100), 5]  # the sixth sample again, under another name
    table = study.table.take_samples(rows)
    table = replace(table, sample_ids=np.append(ids[:100], "again").astype(object))
    splits = Splits(train=tuple(ids[:80]), validation=(), test=(*ids[80:100], "again"))
    (leak,) = find_leaks(replace(study, table=table, metadata=None), splits, None, None, 0)
    assert isinstance(leak, SharedCommunities)
    (pair,) = leak.search.duplicates
    assert (pair.sample_id, pair.known_id, pair.bray_curtis) == ("again", ids[5], 0.0)
    assert f"compared: 21 test and validation samples; again and {ids[5]} at 0.000" in leak.text
    partly = replace(leak, search=replace(leak.search, compared=10, known=40))
    assert "compared: 10 of 21 test and validation samples with 40 of 80 training samples" in partly.text


@pytest.mark.parametrize(
    ("column", "is_suspicious"),
    [
        *((name, True) for name in ("host_subject_id", "Subject", "patient.ID", "individual", "HostID", "mouse_id")),
        *((name, True) for name in ("study", "qiita_study_id", "Plate", "run_prefix", "primer-plate", "batch")),
        *((name, True) for name in ("sequencing run", "run_center", "lane", "center_name", "PCR batch number")),
        *(
            (name, False)
            for name in ("host_common_name", "subjective_health", "family", "age", "plateau", "runny_nose")
        ),
        *((name, False) for name in ("animal", "individual_sample_number", "host_age", "study_day", "batches_of_food")),
    ],
)
def test_names_that_look_like_hosts_or_batches(tmp_path: Path, column: str, is_suspicious: bool) -> None:
    metadata = metadata_of(tmp_path, pd.DataFrame({column: list("aab")}, index=["1", "2", "3"]))
    assert suspicious_columns(metadata) == ([column] if is_suspicious else [])


def test_columns_that_divide_alike_count_once_and_hosts_come_first(tmp_path: Path) -> None:
    columns = {"run": ["r1", "r1", "r2"], "host": list("xxy"), "subject_id": ["7", "7", "5"], "plate": list("pqq")}
    metadata = metadata_of(tmp_path, pd.DataFrame(columns, index=["1", "2", "3"]))
    assert suspicious_columns(metadata) == ["host", "plate"]


def test_one_long_value_takes_no_memory_for_the_others(tmp_path: Path) -> None:
    """A cell of 131,072 characters in 300 rows would be 157 MB of NumPy's own text."""
    host = [f"h{i % 50}" for i in range(299)] + ["x" * 131_072]
    ids = [f"s{i}" for i in range(300)]
    metadata = metadata_of(tmp_path, pd.DataFrame({"host_id": host}, index=ids))
    tracemalloc.start()
    try:
        assert suspicious_columns(metadata) == ["host_id"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5e6


def test_all_folds_report_the_same_about_a_target(tmp_path: Path) -> None:
    study = simulated(tmp_path, plates=5, plate_confounding=1.0)
    splits = make_splits(study, np.arange(160), SplitOptions(group_column="host"), 1, DEGREE_DAYS, folds=4)
    found = [find_leaks(study, each, DEGREE_DAYS, "host", 1000) for each in splits]
    follows = {leak for leaks in found for leak in leaks if isinstance(leak, TargetFollowsColumn)}
    assert len(follows) == 1


def test_columns_of_one_value_and_of_singles_share_nothing(tmp_path: Path) -> None:
    study = simulated(tmp_path, samples=40, hosts=40)
    assert study.metadata is not None
    frame = study.metadata.frame.assign(study="one", plate=[f"p{i}" for i in range(40)])
    frame.loc[frame.index[3], "host"] = None
    study = replace(study, metadata=metadata_of(tmp_path, frame))
    assert leaks_of(study, DEGREE_DAYS, None) == []


def test_no_report_without_enough_data(tmp_path: Path) -> None:
    """Too few samples with a value, and a table of relative abundances, which has no depth."""
    study = simulated(tmp_path, plates=5, plate_confounding=1.0)
    assert study.metadata is not None
    frame = study.metadata.frame.copy()
    frame.loc[frame.index[15:], "plate"] = None
    few_plates = replace(study, metadata=metadata_of(tmp_path, frame))
    assert not any(isinstance(leak, TargetFollowsColumn) for leak in leaks_of(few_plates, DEGREE_DAYS, "host"))
    frame.loc[frame.index[15:], "degree_days"] = None
    few_targets = replace(study, metadata=metadata_of(tmp_path, frame))
    assert not any(isinstance(leak, TargetFollowsDepth) for leak in leaks_of(few_targets, DEGREE_DAYS, "host"))
    depth = TargetOptions(("depth",))
    assert any(isinstance(leak, TargetFollowsDepth) for leak in leaks_of(study, depth, "host"))
    data = study.table.data
    shares = replace(study.table, rows=data._replace(counts=data.counts / 7))
    assert not any(
        isinstance(leak, TargetFollowsDepth) for leak in leaks_of(replace(study, table=shares), depth, "host")
    )


@pytest.mark.skipif(not IBD.exists(), reason="real data are not at ../shared/data")
def test_reads_per_sample_tell_the_patients_of_a_real_study() -> None:
    study = read_study(TableOptions(IBD / "table.biom"), MetadataOptions(IBD / "metadata.tsv"))
    assert study.metadata is not None
    target = TargetOptions(("ibd",), classifier=True)
    rows = select_samples(study, 5000, target).rows
    (splits,) = make_splits(study, rows, SplitOptions(group_column="host_subject_id"), 42, target)
    (leak,) = find_leaks(study, splits, target, "host_subject_id", 5000)
    assert isinstance(leak, TargetFollowsDepth)
    ill = study.metadata.text("ibd")[rows] == "Crohns"
    assert leak.association.strength == pytest.approx(2 * roc_auc_score(~ill, study.table.depths()[rows]) - 1)
    assert leak.association.strength == pytest.approx(2 * 0.988 - 1, abs=1e-3)
    assert find_leaks(study, splits, TargetOptions(("age",)), "host_subject_id", 5000) == []
    (splits,) = make_splits(study, rows, SplitOptions(), 42, target)
    kinds = [type(leak) for leak in find_leaks(study, splits, target, None, 5000)]
    assert kinds == [SharedGroups, SharedCommunities, TargetFollowsColumn, TargetFollowsDepth]


def test_a_category_that_is_model_input_and_predicts_the_target(tmp_path: Path) -> None:
    study = simulated(tmp_path)
    assert study.metadata is not None
    rows = np.arange(160)
    (splits,) = make_splits(study, rows, SplitOptions(group_column="host"), 42, DEGREE_DAYS)
    assert find_leaks(study, splits, DEGREE_DAYS, "host", 1000) == []
    (found,) = find_leaks(study, splits, DEGREE_DAYS, "host", 1000, ("season", "location"))
    assert isinstance(found, TargetFollowsInput)
    assert (found.column, found.level) == ("season", "note")
    truth, season, host = (
        study.metadata.numeric("degree_days"),
        study.metadata.text("season"),
        study.metadata.text("host"),
    )
    predicted = [truth[(season == season[i]) & (host != host[i])].mean() for i in rows]
    expected = 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    assert found.explained == pytest.approx(expected)
    assert found.text == (
        f"degree_days follows season, which is model input and alone explains {expected:.0%} of its "
        "variance; compare with the report's scores of the metadata alone"
    )
