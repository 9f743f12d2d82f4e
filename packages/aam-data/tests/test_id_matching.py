"""Shared ids, and changes that would make ids match: suggested, never applied."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aam_data.errors import DataError
from aam_data.id_matching import (
    Overlap,
    Suggestion,
    check_missing_samples,
    check_not_disjoint,
    closest_transformation,
    overlap_of,
)

FILE = Path("metadata.tsv")
NAMES = st.lists(st.text("aB1.- 0_", min_size=1, max_size=5), max_size=8, unique=True)


@pytest.mark.parametrize(
    ("wanted", "available", "name"),
    [
        (["s1 ", "s2"], ["s1", "s2x"], "blanks around the ids were removed"),
        (["S1", "s2"], ["s1", "x"], "upper and lower case were the same"),
        (["s1", "s2"], ["2538.s1", "2538.x"], "Qiita's study prefix (such as 2538.) were removed"),
        (["2538.s1", "s2"], ["s1", "x"], "Qiita's study prefix (such as 2538.) were removed"),
        (["a-b_1", "s2"], ["a.b.1", "x"], "- and _ and . and blanks were the same"),
        (["host 1", "s2"], ["host_1", "x"], "- and _ and . and blanks were the same"),
        (["001", "s2"], ["1", "x"], "leading zeros were removed"),
        (["s01", "t2"], ["s1", "x"], "leading zeros were removed"),
        (["1001", "s2"], ["1001.0", "x"], "a trailing .0 were removed"),
        (["X12", "s2"], ["12", "x"], "the X that R puts before digits were removed"),
        (["f1;size=12;", "s2"], ["f1", "x"], "annotations after a semicolon (such as ;size=12) were removed"),
        (["s1_S12_L001_R1_001.fastq.gz", "s2"], ["s1", "x"], "Illumina's ending"),
        (["s1_R2.fq", "s2"], ["s1", "x"], "Illumina's ending"),
        (["Beb\u00e91", "s2"], ["Bebe\u03011", "x"], "accented letters were written in one way"),
        (["\uff211", "s2"], ["A1", "x"], "letters of full width"),
        (["A1\u200b", "s2"], ["A1", "x"], "invisible characters were removed"),
        (["A\u00a01", "s2"], ["A 1", "x"], "all kinds of blanks were the same"),
        (["A\u20131", "s2"], ["A-1", "x"], "all dashes were the same"),
        (["\u0410-1", "s2"], ["A-1", "x"], "Greek and Cyrillic letters were the Latin ones"),
        (["10317.0001.58152", "7.a.58152"], ["10317.0001", "x"], "the number that redbiom puts after samples"),
        (["'s1'", "s2"], ["s1", "x"], "quotes were removed"),
        (["raw/s1", "s2"], ["s1", "x"], "folders were removed"),
        (["s1.fasta.gz", "s2"], ["s1", "x"], "the file's ending (such as .fasta) were removed"),
        (["OTU_1", "OTU_2"], ["1", "x"], "the beginning 'OTU_' were removed"),
        (["s1.clean", "t2.clean"], ["s1", "x"], "the end '.clean' were removed"),
        (["f1 Bacteria", "s2"], ["f1", "x"], "descriptions after the first blank were removed"),
        (["ACGTA" * 9, "s2"], ["TACGT" * 9, "x"], "sequences were in one orientation"),
        (["ACGTA" * 9, "CCGTA" * 9], ["ACGTA" * 8, "G" * 40], "sequences were cut to 40 bases"),
        (["\u0410\u20131 ", "s2"], ["a-1", "x"], "differences that are hard to see"),
        (["10317.S1", "s2"], ["s1", "x"], "upper and lower case were the same and Qiita's study prefix"),
        (["X12.b", "s2"], ["12-b", "x"], "- and _ and . and blanks were the same and the X that R puts"),
        (["X2538.b", "s2"], ["b", "x"], "Qiita's study prefix (such as 2538.) were removed and the X that R puts"),
        (["10317.000012", "s2"], ["12", "x"], "Qiita's study prefix (such as 2538.) were removed and leading zeros"),
    ],
)
def test_each_transformation(wanted: list[str], available: list[str], name: str) -> None:
    suggestion = closest_transformation(wanted, available)
    assert suggestion is not None
    assert suggestion.name.startswith(name)
    assert (suggestion.matches, suggestion.wanted, suggestion.example) == (1, 2, (wanted[0], available[0]))


def test_the_closest_is_the_one_with_most_matches() -> None:
    suggestion = closest_transformation(["S1", "7.s2", "7.s3"], ["s1", "s2", "s3"])
    assert suggestion is not None
    assert str(suggestion) == (
        "2 of 3 ids would match if Qiita's study prefix (such as 2538.) were removed (as in '7.s2' and 's2')"
    )


def test_what_would_confuse_ids_is_not_suggested() -> None:
    assert closest_transformation(["s1"], ["1.s1", "2.s1"]) is None
    assert closest_transformation(["s1", "S1"], ["S1 ", "x"]) == Suggestion(
        "blanks around the ids were removed", 1, 2, ("S1", "S1 ")
    )
    assert closest_transformation(["a", "b"], ["c"]) is None
    assert closest_transformation([], ["c"]) is None


def test_two_sides_that_each_lose_a_part_are_not_suggested() -> None:
    assert closest_transformation(["a1", "a2"], ["b1", "b2"]) is None
    assert closest_transformation(["s01", "s02"], ["X1", "X2"]) is None
    assert closest_transformation(["7.1", "7.2"], ["s1", "s2"]) is None


@pytest.mark.parametrize(
    ("wanted", "available", "points"),
    [
        ("A\u20131", "A-1", "U+2013 EN DASH and U+002D HYPHEN-MINUS"),
        ("A1", "A1\u200b", "nothing and U+200B ZERO WIDTH SPACE"),
        ("\u0410", "A", "U+0410 CYRILLIC CAPITAL LETTER A and U+0041 LATIN CAPITAL LETTER A"),
    ],
)
def test_differences_that_are_hard_to_see_are_named(wanted: str, available: str, points: str) -> None:
    assert f": {points})" in str(closest_transformation([wanted], [available]))


@given(NAMES, NAMES)
def test_matches_are_one_to_one(wanted: list[str], available: list[str]) -> None:
    suggestion = closest_transformation(wanted, [name for name in available if name not in wanted])
    if suggestion is not None:
        assert 1 <= suggestion.matches <= min(len(wanted), len(available))
        assert suggestion.example[0] in wanted
        assert suggestion.example[1] in available


def test_overlap() -> None:
    overlap = overlap_of(["a", "b", "c", "S1"], ["d", "b", "a", "s1", "e"])
    assert overlap == Overlap(2, ("c", "S1"), ("d", "s1", "e"))
    assert (overlap.n_here, overlap.n_there) == (4, 5)
    assert overlap.suggestion() == Suggestion("upper and lower case were the same", 1, 2, ("S1", "s1"))
    assert overlap_of(["a"], ["a"]).suggestion() is None


def test_disjoint_files_are_rejected() -> None:
    check_not_disjoint(["a", "b"], ["b", "c"], FILE)
    message = (
        r"metadata.tsv: contains none of the table's samples; the table has 1.a, 1.b, 1.c and 1 more; this file has "
        r"a, b, c. 3 of 4 ids would match if Qiita's study prefix"
    )
    with pytest.raises(DataError, match=message):
        check_not_disjoint(["1.a", "1.b", "1.c", "1.d"], ["a", "b", "c"], FILE)
    with pytest.raises(DataError, match=r"none of the table's features;.*Pass files of one study"):
        check_not_disjoint(["a"], ["b"], FILE, "features")


def test_missing_samples() -> None:
    here, there = ["a", "b", "1.c", "1.d", "1.e", "1.f"], ["a", "b", "c", "d", "x"]
    message = (
        r"metadata.tsv: 4 of 6 samples of the table are not in metadata.tsv \(1.c, 1.d, 1.e, 1.f\). "
        r"2 of 4 ids would match if Qiita's study prefix .*--missing-samples ignore"
    )
    with pytest.raises(DataError, match=message):
        check_missing_samples(here, there, FILE, "error")
    assert check_missing_samples(here, there, FILE, "ignore") == [
        "4 of 6 samples of the table are not in metadata.tsv (1.c, 1.d, 1.e and 1 more)",
        "3 of 5 samples of metadata.tsv are not in the table (c, d, x)",
        "warning: of these, 2 of 4 ids would match if Qiita's study prefix (such as 2538.) were removed "
        "(as in '1.c' and 'c')",
    ]
    assert check_missing_samples(["b", "a"], ["a", "b"], FILE, "error") == []
    assert check_missing_samples(["a"], ["b", "a"], FILE, "error") == [
        "1 of 2 samples of metadata.tsv are not in the table (b)"
    ]
