"""BIOM 1.0: the same numbers as biom-format reads, the output of R, and files that are rejected."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import biom
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aam_data.errors import DataError
from aam_data.readers.biom.table import read_table
from aam_data.table import CountTable

COUNTS = np.array([[5, 0, 0], [0, 3, 9], [1, 0, 2], [0, 0, 7]])  # features by samples
SPARSE = [[0, 0, 5], [1, 1, 3], [1, 2, 9], [2, 0, 1], [2, 2, 2], [3, 2, 7]]
FIELDS: dict[str, Any] = {
    "id": None,
    "format": "Biological Observation Matrix 1.0.0",
    "format_url": "http://biom-format.org",
    "type": "OTU table",
    "generated_by": "a test",
    "date": "2026-01-01T00:00:00",
    "rows": [{"id": f"f{i}", "metadata": None} for i in range(1, 5)],
    "columns": [{"id": f"s{i}", "metadata": None} for i in range(1, 4)],
    "matrix_type": "sparse",
    "matrix_element_type": "int",
    "shape": [4, 3],
    "data": SPARSE,
}


def write(path: Path, **changes: Any) -> Path:
    fields = {key: value for key, value in (FIELDS | changes).items() if value != "absent"}
    path.write_text(json.dumps(fields))
    return path


def dense(table: CountTable) -> np.ndarray:
    result = np.zeros((table.n_samples, table.n_features), dtype=table.data.counts.dtype)
    sample = np.repeat(np.arange(table.n_samples), table.features_per_sample())
    result[sample, table.data.indices] = table.data.counts
    return result


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"matrix_element_type": "float", "data": [[row, column, float(count)] for row, column, count in SPARSE]},
        {"matrix_type": "dense", "data": COUNTS.tolist()},
        {"data": [*SPARSE[::-1], [3, 0, 0]]},
    ],
    ids=["sparse", "floats", "dense", "unsorted, with a zero"],
)
def test_ways_to_store_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    table = read_table(write(tmp_path / "t.biom", **changes)).table
    assert table.sample_ids.tolist() == ["s1", "s2", "s3"]
    assert table.feature_ids.tolist() == ["f1", "f2", "f3", "f4"]
    assert table.data.counts.dtype == np.int32
    np.testing.assert_array_equal(dense(table), COUNTS.T)


def test_lists_of_one_as_r_writes_them(tmp_path: Path) -> None:
    wrapped = {key: [FIELDS[key]] for key in ("format", "type", "matrix_type", "matrix_element_type")}
    ids = {axis: [{"id": [entry["id"]], "metadata": None} for entry in FIELDS[axis]] for axis in ("rows", "columns")}
    table = read_table(write(tmp_path / "t.biom", **wrapped, **ids, id=["x"], shape=[[4], [3]])).table
    np.testing.assert_array_equal(dense(table), COUNTS.T)


def test_gzip_and_byte_order_mark(tmp_path: Path) -> None:
    content = write(tmp_path / "t.biom").read_bytes()
    (tmp_path / "marked.json").write_bytes(b"\xef\xbb\xbf\n " + content)
    (tmp_path / "t.biom.gz").write_bytes(gzip.compress(content))
    for name in ("marked.json", "t.biom.gz"):
        np.testing.assert_array_equal(dense(read_table(tmp_path / name).table), COUNTS.T)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 2**40).map(float)))
def test_any_table_as_biom_format_writes_it(tmp_path: Path, counts: np.ndarray) -> None:
    features, samples = ([f"{axis}{i}" for i in range(n)] for axis, n in zip("fs", counts.shape, strict=True))
    path = tmp_path / "t.biom"
    path.write_text(biom.Table(counts, features, samples).to_json("a test"))
    table = read_table(path).table
    np.testing.assert_array_equal(dense(table), counts.T)
    assert (table.sample_ids.tolist(), table.feature_ids.tolist()) == (samples, features)


def test_large_counts_are_exact_or_rejected(tmp_path: Path) -> None:
    largest = 2**53 - 1
    table = read_table(write(tmp_path / "t.biom", data=[[0, 0, largest]])).table
    assert table.data.counts.tolist() == [largest]
    for count in (2**53, 2**53 + 1, 2**63, 2**64, 10**30):
        with pytest.raises(DataError, match=r"add up to 2\^53 or more"):
            read_table(write(tmp_path / "t.biom", data=[[0, 0, count]]))
    with pytest.raises(DataError, match=r"data: counts that are far too large \(1000"):
        read_table(write(tmp_path / "t.biom", data=[[0, 0, 10**400]]))


ROWS = FIELDS["rows"]
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no data": ({"data": "absent", "shape": "absent"}, r"lacks \(shape, data\)"),
    "not a number": ({"data": [[0, 0, float("nan")]]}, r"NaN is not JSON"),
    "infinite": ({"data": [[0, 0, float("-inf")]]}, r"-Infinity is not JSON"),
    "negative": ({"data": [[1, 2, -4]]}, r"1 of 1 counts are negative \(\(s3, f2\) = -4.0\)"),
    "fraction": ({"data": [[1, 2, 0.5]]}, r"1 of 1 counts are fractions, not reads \(\(s3, f2\) = 0.5\)"),
    "text as a count": ({"data": [[0, 0, "5"], [1, 1, None]]}, r"2 of 2 counts are not numbers \('5', None\)"),
    "true as a count": ({"data": [[0, 0, True]]}, r"1 of 1 counts are not numbers \(True\)"),
    "fractional row": ({"data": [[0.5, 0, 1]]}, r"1 of 1 row and column numbers are not whole numbers \(0.5\)"),
    "row out of range": ({"data": [*SPARSE, [4, 0, 1]]}, r"1 of 7 row numbers are not 0 to 3 \(4\)"),
    "negative column": ({"data": [[0, -1, 1]]}, r"1 of 1 column numbers are not 0 to 2 \(-1\)"),
    "huge column": ({"data": [[0, 2**70, 1]]}, r"row and column numbers that are far too large"),
    "cell twice": ({"data": [*SPARSE, [0, 0, 5]]}, r"1 of 7 counts repeat a feature of their sample \(\(s1, f1\)"),
    "pairs": ({"data": [[0, 0], [1, 1, 1], [2]]}, r"in every entry \(entry 1 has 2, entry 3 has 1\)"),
    "no lists": ({"data": [1, 2, 3]}, r"data: expected a list of lists"),
    "data of text": ({"data": "0 0 5"}, r"data: expected a list of lists"),
    "shape": ({"shape": [3, 4]}, r"shape: declares the shape \[3, 4\], but names 4 rows and 3 columns"),
    "shape of text": ({"shape": "4x3"}, r"declares the shape 4x3"),
    "short dense row": ({"matrix_type": "dense", "data": [[1, 2]] * 4}, r"4 rows of 3 .*\(row 1 has 2, row 2"),
    "missing dense row": ({"matrix_type": "dense", "data": [[1, 2, 3]] * 3}, r"expected 4 rows .*found 3 rows"),
    "matrix type": ({"matrix_type": "ragged"}, r"matrix_type: expected sparse or dense, found ragged"),
    "text matrix": ({"matrix_element_type": "unicode"}, r"expected int or float, found unicode"),
    "id twice": ({"rows": [*ROWS[:3], ROWS[0]]}, r"rows: feature ids that appear more than once \(f1\)"),
    "no id": ({"rows": [*ROWS[:2], {}, {"id": 4}]}, r'rows: entries without a text or number as "id" \(number 3\)'),
    "rows of text": ({"rows": "f1"}, r"rows: expected a list, found str"),
    "no samples": ({"columns": [], "shape": [4, 0], "data": []}, r"columns: no samples"),
    "no features": ({"rows": [], "shape": [0, 3], "data": []}, r"rows: no features"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_table(tmp_path: Path, name: str) -> None:
    changes, message = BROKEN[name]
    path = write(tmp_path / "t.biom", **changes)
    with pytest.raises(DataError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": 1, "id": 2, "rows": [{"x": 1}]}', r"keys that appear more than once \('id'\)"),
        ('{"rows": [', r"not valid JSON: Expecting value"),
        ('{"rows": [] ', r"not valid JSON"),
        ('{"rows": ' + "[" * 100_000, r"not valid JSON: maximum recursion"),
        ('{"rows": ' + "9" * 5000 + "}", r"not valid JSON: Exceeds the limit"),
        ('{"rows": "\xe9"}', r"not UTF-8 text.*xe9"),
    ],
    ids=["keys twice", "cut", "open", "deep", "long number", "Latin-1"],
)
def test_broken_json(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.biom").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.biom")


def test_more_json_than_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "t.biom")
    with pytest.raises(DataError, match=r"JSON of this size may need .*biom convert .*--max-input-gb"):
        read_table(path, max_input_gb=10 * path.stat().st_size / 1e9)


def test_ids_that_no_file_can_hold(tmp_path: Path) -> None:
    content = {
        "id": None,
        "format": "Biological Observation Matrix 1.0.0",
        "type": "OTU table",
        "matrix_type": "sparse",
        "matrix_element_type": "int",
        "shape": [1, 1],
        "rows": [{"id": "ACGT" * 10, "metadata": None}],
        "columns": [{"id": "\ud800", "metadata": None}],
        "data": [[0, 0, 5]],
    }
    path = tmp_path / "table.biom"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"columns: sample ids that are not Unicode text .*ud800"):
        read_table(path)
