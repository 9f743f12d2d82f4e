"""A check describes the files and reports everything that is wrong with them at once."""

from __future__ import annotations

import json
from pathlib import Path

import biom
import h5py
import numpy as np
import pytest

from aam_data.checks.check import check_study
from aam_data.checks.findings import Finding, Report
from aam_data.errors import DataError as Error
from aam_data.errors import DataErrors, Problems
from aam_data.notes import Note
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.study.study import read_study

ASVS = ["ACGT" * 10, "CCGT" * 10, "GCGT" * 10]
SAMPLES = [f"s{number}" for number in range(1, 9)]


@pytest.fixture
def table(tmp_path: Path) -> TableOptions:
    """8 samples of 100, 200, ... 800 reads."""
    counts = np.outer([45, 30, 25], np.arange(1, 9)).astype(float)
    with h5py.File(tmp_path / "table.biom", "w") as file:
        biom.Table(counts, ASVS, SAMPLES).to_hdf5(file, "test")
    return TableOptions(tmp_path / "table.biom")


@pytest.fixture
def metadata(tmp_path: Path) -> MetadataOptions:
    rows = ["sample-id\thost\tstatus\tage\tsame"]
    for number, name in enumerate([*SAMPLES, "s9"]):
        rows.append(f"{name}\t{'abcdefghi'[number // 2]}\t{('sick', 'well')[number // 2 % 2]}\t{number}\tx")
    (tmp_path / "metadata.tsv").write_text("\n".join(rows) + "\n")
    return MetadataOptions(tmp_path / "metadata.tsv")


SPLIT = SplitOptions(group_column="host", test_size=0.25, val_size=0.25)
DEPTH = SampleOptions(rarefy_depth=150)


def errors(report: Report) -> list[str]:
    return [finding.text for finding in report.findings if finding.level == "error"]


def test_facts_of_a_good_study(table: TableOptions, metadata: MetadataOptions) -> None:
    report = check_study(table, metadata, None, DEPTH, SPLIT, TargetOptions(("status",), classifier=True))
    assert errors(report) == []
    facts = dict(report.facts)
    assert facts["table"] == "8 samples x 3 features, 3,600 reads"
    assert facts["feature ids"] == f"sequences, such as {ASVS[0]}"
    assert facts["sequences"] == "3 ASVs of 40 bases"
    assert facts["metadata"] == "9 samples x 4 columns"
    assert facts["samples"] == "8 in both table and metadata; 1 only in the metadata (s9)"
    assert facts["reads per sample"] == "min 100, 5% 100, 25% 200, 50% 400, 75% 600, max 800"
    assert facts["ASVs per sample"] == "min 3, 5% 3, 25% 3, 50% 3, 75% 3, max 3"
    assert facts["rarefaction"] == "to 150 reads keeps 7 of 8 samples"
    assert facts["target status"] == "2 classes among 7 samples (sick: 3, well: 4)"
    assert facts["groups host"] == "4 groups of 1 to 2 samples, among 7 samples"
    assert facts["split"].startswith("4 samples (2 groups) for training, 1 samples (1 groups) for validation")


def test_a_numeric_target(table: TableOptions, metadata: MetadataOptions) -> None:
    report = check_study(table, metadata, None, DEPTH, SPLIT, TargetOptions(("age",)))
    assert dict(report.facts)["target age"] == "7 samples, min 1, median 4, max 7"


def test_problems_of_all_files_are_found_at_once(tmp_path: Path, table: TableOptions) -> None:
    (tmp_path / "tree.nwk").write_text("((a:1,b:1):1,c:1)")  # no semicolon
    (tmp_path / "metadata.tsv").write_text("id\tage\ns1\t1\ns1\t2\n")
    metadata, phylogeny = MetadataOptions(tmp_path / "metadata.tsv"), PhylogenyOptions(tmp_path / "tree.nwk")
    (tmp_path / "absent.fasta").unlink(missing_ok=True)
    broken = TableOptions(table.table, sequences=tmp_path / "absent.fasta")
    report = check_study(broken, metadata, phylogeny)
    named = {Path(finding.file).name for finding in report.findings if finding.level == "error" and finding.file}
    assert named == {"absent.fasta", "metadata.tsv", "tree.nwk"}
    with pytest.raises(DataErrors) as caught:
        read_study(broken, metadata, phylogeny)
    assert {Path(str(error.file)).name for error in caught.value.errors} == named
    assert str(caught.value).count("\n") == 2


def test_a_broken_table_does_not_hide_the_metadata(tmp_path: Path, metadata: MetadataOptions) -> None:
    (tmp_path / "table.biom").write_bytes(b"")
    report = check_study(TableOptions(tmp_path / "table.biom"), metadata, target=TargetOptions(("bmi",)))
    assert len(errors(report)) == 2
    assert "empty" in errors(report)[0]
    assert "bmi" in errors(report)[1]


def test_targets_that_cannot_be_learned(table: TableOptions, metadata: MetadataOptions) -> None:
    single = check_study(table, metadata, None, DEPTH, SPLIT, TargetOptions(("same",), classifier=True))
    assert [text for text in errors(single) if "the only class of the samples is x" in text]
    words = check_study(table, metadata, None, DEPTH, SPLIT, TargetOptions(("status", "same")))
    assert len(errors(words)) == 2  # both columns, not only the first


def test_repeated_hosts_without_groups_are_a_warning(table: TableOptions, metadata: MetadataOptions) -> None:
    report = check_study(table, metadata, None, DEPTH, SplitOptions(test_size=0.3, val_size=0.3))
    assert [f for f in report.findings if f.level == "warning" and "--group-column host" in f.problem]
    assert "--group-column" not in str(check_study(table, metadata, None, DEPTH, SPLIT))


def test_a_target_that_is_constant_in_training(table: TableOptions, tmp_path: Path) -> None:
    for name, ids in (("train", SAMPLES[1:4]), ("val", SAMPLES[4:])):
        (tmp_path / f"{name}.txt").write_text("\n".join(ids) + "\n")
    rows = [f"{name}\t{1 if number < 4 else 2}" for number, name in enumerate(SAMPLES)]
    (tmp_path / "constant.tsv").write_text("\n".join(["id\tph", *rows]) + "\n")
    lists = SplitOptions(train_samples=tmp_path / "train.txt", val_samples=tmp_path / "val.txt")
    known = MetadataOptions(tmp_path / "constant.tsv")
    report = check_study(table, known, None, DEPTH, lists, TargetOptions(("ph",)))
    assert [text for text in errors(report) if "all 3 training samples have the value 1" in text]


def test_depth_that_no_sample_has(table: TableOptions) -> None:
    report = check_study(table, sample=SampleOptions(rarefy_depth=1000))
    assert len(errors(report)) == 1
    assert "the deepest has 800" in errors(report)[0]


def test_json_and_order(tmp_path: Path, table: TableOptions) -> None:
    (tmp_path / "metadata.tsv").write_text("id\thost\ns1\tq\ns2\tq\ns3\tr\n")
    report = check_study(table, MetadataOptions(tmp_path / "metadata.tsv"), sample=DEPTH)
    levels = [finding.level for finding in report.findings]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)
    stored = json.loads(json.dumps(report.to_dict()))
    assert stored["facts"] == dict(report.facts)
    error = stored["findings"][0]
    assert error["count"] == 5
    assert error["offenders"] == ["s4", "s5", "s6", "s7", "s8"]
    assert "--missing-samples ignore" in error["remedy"]


def test_a_finding_reads_like_its_error() -> None:
    error = Error(
        "counts are negative",
        code="table-counts-negative",
        file="t.biom",
        place="sample/matrix",
        offenders=list("abcdefg"),
        remedy="Fix",
    )
    finding = Finding.from_error(error)
    assert f"{finding.where}: {finding.text}. {finding.remedy}" == str(error)
    assert next(iter(finding.to_dict().items())) == ("code", "table-counts-negative")
    warning = Finding.from_note(Note("tree-unrooted", "look", "warning"))
    assert (warning.code, warning.level, warning.text) == ("tree-unrooted", "warning", "look")
    assert Finding.from_note(Note("sequences-missing", "7 were dropped")).level == "note"


def test_problems_are_raised_alone_or_together() -> None:
    def fail(text: str) -> None:
        raise Error(text, code="file-damaged")

    def fail_twice() -> None:
        raise DataErrors([Error("b", code="file-empty"), Error("c", code="file-missing")])

    problems = Problems()
    problems.raise_collected()
    assert problems.collect(len, "four") == 4
    assert problems.collect(fail, "a") is None
    with pytest.raises(Error, match=r"^a$"):
        problems.raise_collected()
    problems.collect(fail_twice)
    with pytest.raises(DataErrors, match=r"^a\nb\nc$"):
        problems.raise_collected()


def test_ibd(shared_data: Path) -> None:
    ibd = shared_data / "ibd"
    report = check_study(
        TableOptions(ibd / "table.biom"),
        MetadataOptions(ibd / "metadata.tsv"),
        PhylogenyOptions(ibd / "insertion-tree.qza"),
        split=SplitOptions(group_column="host_subject_id"),
        target=TargetOptions(("ibd",), classifier=True),
    )
    assert report.count("error") == 0
    facts = dict(report.facts)
    assert facts["table"].startswith("470 samples x 10,099 features")
    assert facts["samples"].startswith("470 in both table and metadata; 176 only in the metadata")
    assert facts["tree"] == "9,970 of 10,099 ASVs are tips"
    assert facts["rarefaction"] == "to 5,000 reads keeps 428 of 470 samples"
    assert facts["target ibd"] == "2 classes among 428 samples (Control: 268, Crohns: 160)"
    assert facts["groups host_subject_id"].startswith("23 groups")


def test_folds_and_scales_are_tried_as_a_run_would(table: TableOptions, metadata: MetadataOptions) -> None:
    target = TargetOptions(("age",), normalize_by=("status",))
    split = SplitOptions(group_column="host", val_size=0.25)
    report = check_study(table, metadata, None, SampleOptions(rarefy_depth=0), split, target, folds=2)
    facts = dict(report.facts)
    assert facts["fold 1"].endswith("4 samples (2 groups) held out")
    assert {name for name in facts if name.startswith("fold")} == {"fold 1", "fold 2"}
    assert sum(finding.text.count("--normalize-by has no effect") for finding in report.findings) == 1
    too_many = check_study(table, metadata, None, SampleOptions(rarefy_depth=0), split, target, folds=9)
    assert any("4 groups are too few for 9 folds" in text for text in errors(too_many))
