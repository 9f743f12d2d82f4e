"""Tables as text: the same numbers as biom-format, the output of R and spreadsheets, and files that are rejected."""

from __future__ import annotations

import gzip
from pathlib import Path

import biom
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aam_data.errors import DataError
from aam_data.readers.biom.table import TableFile, read_table
from aam_data.table import CountTable

COUNTS = np.array([[5, 0, 0], [0, 3, 9], [1, 0, 2], [0, 0, 7]])  # features by samples
ROWS = "f1\t5\t0\t0\nf2\t0\t3\t9\nf3\t1\t0\t2\nf4\t0\t0\t7\n"
PLAIN = f"#OTU ID\ts1\ts2\ts3\n{ROWS}"


def read(folder: Path, text: str | bytes, **options: bool) -> TableFile:
    path = folder / "t.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, **options)


def dense(table: CountTable) -> np.ndarray:
    result = np.zeros((table.n_samples, table.n_features), dtype=table.data.counts.dtype)
    sample = np.repeat(np.arange(table.n_samples), table.features_per_sample())
    result[sample, table.data.indices] = table.data.counts
    return result


TAXA = "#OTU ID\ts1\ts2\ts3\ttaxonomy\nf1\t5\t0\t0\tk__B; p__x\nf2\t0\t3\t9\t\nf3\t1\t0\t2\t16\nf4\t0\t0\t7\tk__A\n"
LAST = "last column of t.tsv, taxonomy, contains text and was not read as a sample"
SAME: dict[str, tuple[str, str]] = {
    "plain": (PLAIN, ""),
    "biom convert": (f"# Constructed from biom file\n{PLAIN}", ""),
    "no mark": (PLAIN.replace("#OTU ID", "Feature ID"), ""),
    "comment before": (f"# made by hand\n{PLAIN.replace('#OTU ID', 'Feature ID')}", ""),
    "first cell empty": (PLAIN.replace("#OTU ID", ""), ""),
    "first cell left out": (PLAIN.replace("#OTU ID\t", ""), ""),
    "quoted by R": ('"s1"\t"s2"\t"s3"\n"f1"\t5\t0\t0\n"f2"\t0\t3\t9\n"f3"\t1\t0\t2\n"f4"\t0\t0\t7\n', ""),
    "floats": (PLAIN.replace("\t9", "\t9.0").replace("\t7", "\t.7e1"), ""),
    "commas": (PLAIN.replace("\t", ","), ""),
    "commas and quotes": ('"",s1,s2,s3\n' + ROWS.replace("\t", '","').replace("\n", '"\n"').join(['"', ""])[:-1], ""),
    "blanks": (PLAIN.replace("\t9", "\t 9 ").replace("\n", " \n"), ""),
    "CRLF": (PLAIN.replace("\n", "\r\n"), ""),
    "CR": (PLAIN.replace("\n", "\r"), ""),
    "byte order mark": ("\ufeff" + PLAIN, ""),
    "blank lines": (PLAIN.replace("f2", "\n\nf2") + "\n\n", ""),
    "no last line end": (PLAIN.rstrip("\n"), ""),
    "taxonomy": (TAXA, LAST),
    "comment among rows": (PLAIN.replace("f2", "# half way\nf2"), "1 rows of t.tsv start with # and were skipped"),
}


@pytest.mark.parametrize("name", SAME)
def test_ways_to_write_the_same(tmp_path: Path, name: str) -> None:
    text, note = SAME[name]
    file = read(tmp_path, text)
    assert file.table.sample_ids.tolist() == ["s1", "s2", "s3"]
    assert file.table.feature_ids.tolist() == ["f1", "f2", "f3", "f4"]
    assert file.table.data.counts.dtype == np.int32
    np.testing.assert_array_equal(dense(file.table), COUNTS.T)
    assert note in " ".join(file.notes)
    assert bool(file.notes) == bool(note)


def test_a_last_column_of_text_under_any_name(tmp_path: Path) -> None:
    file = read(tmp_path, TAXA.replace("taxonomy", "my notes").replace("\t16", "\tx"))
    assert file.table.sample_ids.tolist() == ["s1", "s2", "s3"]
    assert file.notes == ("the last column of t.tsv, my notes, contains text and was not read as a sample",)


def test_one_sample(tmp_path: Path) -> None:
    assert dense(read(tmp_path, "id\ts1\na\t4\nb\t0\nc\t6\n").table).tolist() == [[4, 0, 6]]


def test_gzip(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(gzip.compress(PLAIN.encode()))
    np.testing.assert_array_equal(dense(read_table(tmp_path / "t.txt").table), COUNTS.T)
    (tmp_path / "t.txt").write_bytes(gzip.compress(b"#OTU ID\ts1\n" + b"f\t1\n" * 10**6))
    with pytest.raises(DataError, match="--max-input-gb"):
        read_table(tmp_path / "t.txt", max_input_gb=0.001)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 2**40).map(float)))
def test_any_table_as_biom_format_writes_it(tmp_path: Path, counts: np.ndarray) -> None:
    features, samples = ([f"{axis}{i}" for i in range(n)] for axis, n in zip("fs", counts.shape, strict=True))
    table = read(tmp_path, biom.Table(counts, features, samples).to_tsv()).table
    np.testing.assert_array_equal(dense(table), counts.T)
    assert (table.sample_ids.tolist(), table.feature_ids.tolist()) == (samples, features)


def test_as_biom_format_reads_it(tmp_path: Path) -> None:
    read(tmp_path, TAXA.replace("\t16", "\tx"))
    reference = biom.load_table(str(tmp_path / "t.tsv"))
    np.testing.assert_array_equal(reference.matrix_data.toarray(), COUNTS)
    assert reference.ids().tolist() == ["s1", "s2", "s3"]


def test_real_table_as_text(shared_data: Path, tmp_path: Path) -> None:
    whole = read_table(shared_data / "tadpole/table.qza").table
    table = biom.Table(dense(whole).T.astype(float), whole.feature_ids, whole.sample_ids)
    text = read(tmp_path, table.to_tsv()).table
    for actual, expected in zip(text.data, whole.data, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_fractions_and_large_counts(tmp_path: Path) -> None:
    text = PLAIN.replace("\t9", "\t0.9")
    with pytest.raises(DataError, match=r"1 of 6 counts are fractions, not reads \(\(s3, f2\) = 0.9\).*--relative"):
        read(tmp_path, text)
    assert dense(read(tmp_path, text, relative_abundance=True).table)[2].tolist() == [0, 0.9, 2, 7]
    assert dense(read(tmp_path, PLAIN.replace("\t9", "\t9007199254740000")).table)[2, 1] == 9007199254740000
    for count in ("9007199254740993", "1e300"):
        with pytest.raises(DataError, match=r"add up to 2\^53 or more.*\(s3, f2\)"):
            read(tmp_path, PLAIN.replace("\t9", f"\t{count}"))


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "not a number": (PLAIN.replace("\t3", "\tnan"), r"1 cells are not numbers \(\(s2, f2\) = 'nan'\)"),
    "words": (PLAIN.replace("\t0", "\tNA"), r"6 cells are not numbers \(\(s2, f1\) = 'NA', \(s1, f2\) = 'NA'"),
    "a last column without values": (PLAIN.replace("\t9", "\tNA").replace("\t7", "\tNA"), r"2 cells are not numbers"),
    "last column all missing": ("id\ts1\ts2\na\t1\tNA\nb\t2\tNA\n", r"2 cells are not numbers \(\(s2, a\) = 'NA'"),
    "underscores": (PLAIN.replace("\t3", "\t1_000"), r"1 cells are not numbers \(\(s2, f2\) = '1_000'\)"),
    "two signs": (PLAIN.replace("\t3", "\t3-3"), r"1 cells are not numbers \(\(s2, f2\) = '3-3'\)"),
    "thousands": (PLAIN.replace("\t3", "\t1,000"), r"1 cells are not numbers"),
    "empty cell": (PLAIN.replace("\t3", "\t"), r"1 cells are not numbers \(\(s2, f2\) = ''\)"),
    "other digits": (PLAIN.replace("\t3", "\t\u0663"), r"1 cells are not numbers"),
    "infinite": (PLAIN.replace("\t3", "\t1e999"), r"1 of 6 counts are not finite \(\(s2, f2\) = inf\)"),
    "negative": (PLAIN.replace("\t3", "\t-3"), r"1 of 6 counts are negative \(\(s2, f2\) = -3.0\)"),
    "short row": (PLAIN.replace("\t3\t9", "\t3"), r"expected 4 cells in every row \(row 3 has 3\)"),
    "long rows": (PLAIN.replace("\t3", "\t3\t3").replace("f4", "f4\t1"), r"in every row \(row 3 has 5, row 5 has 5\)"),
    "header too short": (PLAIN.replace("\ts3", ""), r"row 1: 3 cells in the header, 4 in the first row"),
    "header of Feature ID too short": ("Feature ID\ts1\na\t1\t2\n", r"2 cells in the header, 3 in the first row"),
    "sample twice": (PLAIN.replace("s3", "s1"), r"header: sample ids that appear more than once \(s1\)"),
    "feature twice": (PLAIN.replace("f3", "f1"), r"first column: feature ids that appear more than once \(f1\)"),
    "empty sample": (PLAIN.replace("s2", " "), r"header: empty sample ids \(number 2\)"),
    "Latin-1 id": (PLAIN.replace("f3", "f\xe9").encode("latin-1"), r"first column: not UTF-8 \(b'f\\xe9'\)"),
    "header only": ("#OTU ID\ts1\ts2\n", r"no features"),
    "comments only": ("# nothing\n#here\n", r"text, but not a table"),
    "taxonomy only": ("#OTU ID\ttaxonomy\nf1\tk__B\n", r"header: no samples"),
    "decimal commas in the last column": (
        "#OTU ID\ts1\ts2\nf1\t1\t0,5\nf2\t0\t1,25\n",
        r"2 cells are not numbers \(\(s2, f1\) = '0,5', \(s2, f2\) = '1,25'\)\. Write decimals with a point",
    ),
    "commas between thousands": (PLAIN.replace("\t9", "\t1,234"), r"\(s3, f2\) = '1,234'.*thousands without a comma"),
    "semicolons": ("id;s1;s2\na;1;2\n", r"row 1: separated by semicolons.*with tabs"),
    "commas in quotes": ('"a,b"\n"c,d"\n', r"text"),
    "unclosed quote": ('id,s1,s2\n"a,1,2\n', r"2 cells|3 cells"),
    "prose": ("Dear all,\tplease find\nattached\n", r"row 1: 2 cells in the header, 1 in the first row"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_text(tmp_path: Path, name: str) -> None:
    text, message = BROKEN[name]
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "t.tsv"))
    assert "\n" not in str(caught.value)


def test_a_long_number_that_is_none_takes_no_time(tmp_path: Path) -> None:
    """Backtracking over a million digits would take hours."""
    with pytest.raises(DataError, match="1 cells are not numbers"):
        read(tmp_path, PLAIN.replace("\t3", "\t" + "1" * 10**6 + "x"))
