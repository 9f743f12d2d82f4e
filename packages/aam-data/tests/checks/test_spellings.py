"""Warnings about classes, groups and categories in several spellings; nothing is merged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aam_data.checks.check import check_study
from aam_data.checks.spellings import spelling_notes
from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.readers.metadata.metadata import Metadata, read_metadata

ROWS = np.arange(8)
METADATA = """sample-id\tinfected\tarm\thost\tage
s1\tTRUE\t0\t101\t1
s2\tTrue\t0.0\t101.0\t2
s3\tFALSE\t1\t102\t3
s4\tFalse\t1.0\t102.0\t4
s5\tTRUE\t0\t103\t5
s6\tTrue\t0.0\t103\t6
s7\tFALSE\t1\t104\t7
s8\tFalse\t1.0\t104\t8
"""


@pytest.fixture
def metadata(tmp_path: Path) -> Metadata:
    (tmp_path / "metadata.tsv").write_text(METADATA)
    return read_metadata(tmp_path / "metadata.tsv", MetadataOptions())


def test_classes(metadata: Metadata) -> None:
    target = TargetOptions(("infected",), classifier=True)
    assert spelling_notes(metadata, ROWS, target, SplitOptions()) == [
        "warning: infected has 4 classes that would be 2 without differences of spelling: 'TRUE' (2) and 'True' (2); "
        "'FALSE' (2) and 'False' (2). Nothing is merged: write each value in one way in metadata.tsv if it is the same"
    ]
    assert spelling_notes(metadata, ROWS[[0, 4, 2]], target, SplitOptions()) == []


def test_groups_strata_scales_and_inputs(metadata: Metadata) -> None:
    split = SplitOptions(group_column="host", stratify_column="arm")
    groups, strata = reversed(spelling_notes(metadata, ROWS, None, split))
    assert groups.startswith("warning: host has 6 groups that would be 4 without differences of spelling: '101' (1)")
    assert "both sides of a split" in groups
    assert strata.startswith("warning: arm has 4 categories that would be 2")
    target = TargetOptions(("age",), normalize_by=("infected",))
    (scales,) = spelling_notes(metadata, ROWS, target, SplitOptions())
    assert scales.startswith("warning: infected has 4 categories")
    assert len(spelling_notes(metadata, ROWS, None, SplitOptions(), ["arm", "infected", "age"])) == 2
    assert spelling_notes(None, ROWS, None, split) == []


def test_groups_that_may_mean_missing(tmp_path: Path) -> None:
    path = tmp_path / "metadata.tsv"
    path.write_text("sample-id\thost\ns1\tNA\ns2\tunknown\ns3\tNA\ns4\th1\ns5\tnot provided\ns6\t\n")
    metadata, split = read_metadata(path, MetadataOptions()), SplitOptions(group_column="host")
    assert spelling_notes(metadata, np.arange(6), None, split) == [
        "warning: host has groups that may mean missing: 'NA' (2), 'unknown' (1); if so, pass --na-value"
    ]
    declared = read_metadata(path, MetadataOptions(na_value=("na", "unknown")))
    assert spelling_notes(declared, np.arange(6), None, split) == []


def test_the_check_warns_even_if_the_classes_cannot_be_learned(tmp_path: Path, metadata: Metadata) -> None:
    counts = "\n".join(f"{base * 40}\t" + "\t".join(["9"] * 8) for base in "ACGT")
    (tmp_path / "table.tsv").write_text("#OTU ID\t" + "\t".join(metadata.sample_ids) + f"\n{counts}\n")
    report = check_study(
        TableOptions(tmp_path / "table.tsv"),
        MetadataOptions(metadata.path),
        sample=SampleOptions(rarefy_depth=0),
        target=TargetOptions(("host",), classifier=True),
    )
    (error,) = [finding for finding in report.findings if finding.level == "error"]
    assert "Some differ from others in spelling only, as '101' and '101.0'" in str(error.remedy)
    assert any("host has 6 classes that would be 4" in finding.problem for finding in report.findings)
