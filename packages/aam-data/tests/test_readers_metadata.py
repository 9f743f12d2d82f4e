"""Metadata: the conventions of QIIME 2 and Qiita, missing values, and what is refused."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aam_data.config import MetadataOptions
from aam_data.errors import DataError
from aam_data.readers.metadata import Metadata, read_metadata


def read(folder: Path, content: str | bytes, name: str = "m.tsv", **options: object) -> Metadata:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    sample_ids = options.pop("sample_ids", ())
    return read_metadata(path, MetadataOptions(path, **options), sample_ids=sample_ids)  # type: ignore[arg-type]


def test_values_and_ids_stay_text(tmp_path: Path) -> None:
    metadata = read(tmp_path, "id\tage\n001\t007\n1e5\t1e5\n10.10\t10.10\n")
    assert metadata.sample_ids.tolist() == ["001", "1e5", "10.10"]
    assert metadata.text("age").tolist() == ["007", "1e5", "10.10"]
    np.testing.assert_array_equal(metadata.numeric("age"), [7, 100_000, 10.1])
    assert metadata.columns == ["age"]
    assert metadata.frame.index.dtype == metadata.frame["age"].dtype == object


ID_HEADERS = ["id", "ID", "sampleid", "Sample ID", "sample-id", "featureid", "feature id", "#SampleID", "#Sample ID"]
ID_HEADERS += ["#OTUID", "#OTU ID", "sample_name", "sample_id", "Sample_Name", "#sampleid", "SAMPLE NAME"]


@pytest.mark.parametrize("header", ID_HEADERS)
def test_id_headers(tmp_path: Path, header: str) -> None:
    metadata = read(tmp_path, f"# a comment\n{header}\tph\ns1\t7\n")
    assert metadata.sample_ids.tolist() == ["s1"]
    assert metadata.notes == ()


def test_id_column_elsewhere(tmp_path: Path) -> None:
    metadata = read(tmp_path, "ph\tsample_name\n7\ts1\n")
    assert metadata.sample_ids.tolist() == ["s1"]
    assert "sample_name, which is not the first" in metadata.notes[0]
    assert read(tmp_path, "barcode\tph\nACGT\t7\n", id_column="barcode").sample_ids.tolist() == ["ACGT"]
    assert read(tmp_path, "#NAME\tph\ns1\t7\n", id_column="#NAME").sample_ids.tolist() == ["s1"]
    two = read(tmp_path, "id\tfeature id\ns1\tx\n")
    assert "read from id, not from feature id" in two.notes[0]


def test_first_column_by_its_values(tmp_path: Path) -> None:
    content = "barcode\tph\ns1\t7\ns2\t8\nother\t9\n"
    metadata = read(tmp_path, content, sample_ids={"s1", "s2", "s3"})
    assert metadata.sample_ids.tolist() == ["s1", "s2", "other"]
    assert "the first column, barcode" in metadata.notes[0]
    for ids, head in (({"s1"}, ""), ({"s1", "s2"}, "#NAME\tacid\n")):  # too few ids; the header is a comment
        with pytest.raises(DataError, match=r"no column of sample ids.*--id-column"):
            read(tmp_path, head + content, sample_ids=ids)


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffid\tph\tsite\ns1\t7\tgut\ns2\t8\t\n",
        "id\tph\tsite\r\ns1\t7\tgut\r\ns2\t8\t\r\n",
        "# written by hand\n\nid\tph\tsite\t\t\n\ns1 \t 7\tgut\t\t\n# s9\t1\tx\n\t\t\ns2\t8\n",
        'id\tph\t"site"\ns1\t"7"\t"gut"\ns2\t8\t""',
    ],
    ids=["mark", "crlf", "padding", "quotes"],
)
def test_the_same_table_in_other_bytes(tmp_path: Path, content: str) -> None:
    metadata = read(tmp_path, content)
    assert metadata.sample_ids.tolist() == ["s1", "s2"]
    assert metadata.text("ph").tolist() == ["7", "8"]
    assert metadata.text("site").tolist() == ["gut", None]


def test_commas(tmp_path: Path) -> None:
    content = 'id,site\ns1,"gut, lower"\n'
    assert read(tmp_path, content, "m.csv").text("site").tolist() == ["gut, lower"]
    assert read(tmp_path, content, "m.csv").notes == ()
    assert read(tmp_path, content).notes == ("m.tsv is separated by commas",)
    assert read(tmp_path, "id\tsite\ns1\tgut, lower\n", "m.csv").notes == ("m.csv is separated by tabs",)
    assert read(tmp_path, "id\tsite, part\ns1\tgut, lower\n").text("site, part").tolist() == ["gut, lower"]
    with pytest.raises(DataError, match="tabs and commas"):
        read(tmp_path, "id\tsite, part\ns1\tgut\n", "m.csv")


def test_gzip_and_artifact(tmp_path: Path, write_artifact: Callable[..., Path]) -> None:
    content = b"id\tph\ns1\t7\n"
    assert read(tmp_path, gzip.compress(content)).sample_ids.tolist() == ["s1"]
    path = write_artifact(tmp_path / "m.qza", "ImmutableMetadata", "metadata.tsv", content)
    assert read_metadata(path, MetadataOptions(path)).sample_ids.tolist() == ["s1"]


def test_directives(tmp_path: Path) -> None:
    rows = "#q2:types for QIIME\tNumeric\tcategorical\t\n#q2:missing\tblank\tINSDC:missing\tno-missing\n"
    metadata = read(tmp_path, f"id\tph\tsite\thost\n{rows}#q2:colour\tred\ns1\t7\tgut\th1\n")
    assert metadata.types == {"ph": "numeric", "site": "categorical"}
    assert metadata.sample_ids.tolist() == ["s1"]
    assert metadata.notes == ("m.tsv: row 4, the directive #q2:colour is not known and was skipped",)


MISSING = ["", "missing", "Missing: Not provided", "not applicable", "Not  Collected", "MISSING: not collected: lab"]
MISSING += ["restricted access", "missing: control sample", "not provided"]
MISSING_NUMBERS = ["na", "N/A", "NaN", "null", "None", "unk", "Unknown", "unspecified", "not available", "?", "-"]
MISSING_NUMBERS += ["not determined", "not recorded"]


def column(values: list[str]) -> str:
    return "id\tvalue\n" + "".join(f"s{i}\t{value}\n" for i, value in enumerate(values))


def test_missing_values(tmp_path: Path) -> None:
    metadata = read(tmp_path, column(["1", *MISSING, *MISSING_NUMBERS]))
    assert metadata.text("value").tolist() == ["1", *[None] * len(MISSING), *MISSING_NUMBERS]
    assert metadata.doubtful("value") == dict.fromkeys(MISSING_NUMBERS, 1)
    numbers = metadata.numeric("value")
    assert numbers[0] == 1
    assert np.isnan(numbers[1:]).all()
    near = ["missing one", "not provided yet", "nothing"]
    assert read(tmp_path, column(near)).text("value").tolist() == near


def test_na_value_and_no_default_na(tmp_path: Path) -> None:
    metadata = read(tmp_path, column(["3", "Below  Detection", "-99", "x"]), na_value=("below detection", "-99"))
    assert metadata.text("value").tolist() == ["3", None, None, "x"]
    words = read(tmp_path, column(["missing", "", "NA", "never"]), default_na=False, na_value=("never",))
    assert words.text("value").tolist() == ["missing", None, "NA", None]
    with pytest.raises(DataError, match="not numbers"):
        words.numeric("value")


def test_what_is_a_number(tmp_path: Path) -> None:
    good = ["1", "-2.5", "+.5", "3.", "1E3", "1e-2", "007"]
    np.testing.assert_array_equal(read(tmp_path, column(good)).numeric("value"), [1, -2.5, 0.5, 3, 1000, 0.01, 7])
    for bad in ("inf", "1,5", "<5", "1_000", "0x10", "1e999", "\u0661", "1 2", "."):
        with pytest.raises(DataError, match="column value: values that are not numbers"):
            read(tmp_path, column(["1", bad])).numeric("value")


def test_first_five_values_and_counts(tmp_path: Path) -> None:
    metadata = read(tmp_path, column(["low", "a", "low", "b", "c", "d", "e", "1", "low", "f"]))
    with pytest.raises(DataError, match=r"\('low': 3, 'a': 1, 'b': 1, 'c': 1, 'd': 1 and 2 more\).*--na-value"):
        metadata.numeric("value")


def test_take_reorders_and_fills(tmp_path: Path) -> None:
    metadata = read(tmp_path, "id\tph\tsite\ns1\t7\tgut\ns2\t8\t\n")
    taken = metadata.take(np.array(["s2", "new", "s1"], dtype=object))
    assert taken.sample_ids.tolist() == ["s2", "new", "s1"]
    assert taken.text("site").tolist() == [None, None, "gut"]
    np.testing.assert_array_equal(taken.numeric("ph"), [8, np.nan, 7])
    assert metadata.sample_ids.tolist() == ["s1", "s2"]


def test_require(tmp_path: Path) -> None:
    metadata = read(tmp_path, "id\tage\tage\tbody_site\ns1\t1\t2\tgut\n")
    metadata.require("body_site")
    with pytest.raises(DataError, match=r"no column body-site. Nearest: body_site"):
        metadata.require("body-site")
    with pytest.raises(DataError, match=r"no column xyzzy. Columns: body_site"):
        metadata.text("xyzzy")
    with pytest.raises(DataError, match="several columns are named age"):
        metadata.numeric("age")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "file is empty"),
        ("# only\n# comments\n", "no header"),
        ("id\tph\n", "a header without rows"),
        ("id\tph\n# s1\t7\n", "a header without rows"),
        ("id\tph\ns1\t7\ns1\t8\n", r"column id: sample ids that appear more than once \(s1\)"),
        ("id\tph\ns1\t7\n\t8\n", r"rows without a sample id \(3\)"),
        ("ph\tid\n7\t#s1\n", r"begin with # \(#s1\)"),
        ("id\tph\ns1\t7\t\ns2\t7\t9\n", "row 3: 3 cells, the header has 2"),
        ("id\t\tph\ns1\t7\t8\n", r"row 1: columns without a name \(number 2\)"),
        ('id\tph\ns1\t"7\ns2\t8\n', "row 2: cannot be split: unexpected end of data"),
        ('id\tph\ns1\t"7"x\ns2\t8\n', "row 2: cannot be split"),
        (b"id\tph\tsite\ns1\t7\tgut\ns2\t8\tcaf\xe9\n", r"row 3, column 3: b'\\xe9' is not UTF-8"),
        ("id\tph\n".encode("utf-16"), "Save it as UTF-8"),
        ("id\tph\n".encode("utf-16-le"), "Save it as UTF-8"),
        ("barcode\tph\ns1\t7\n", r"no column of sample ids; columns \(barcode, ph\)"),
        ("id\tph\n#q2:types\tnumber\ns1\t7\n", r"row 2 \(#q2:types\): unknown values \(number\)"),
        ("id\tph\n#q2:missing\tinsdc:missing\ns1\t7\n", r"unknown values \(insdc:missing\)"),
        ("id\tph\n#q2:missing\tno-missing\ns1\t7\ns2\t\n", r"column ph has missing values, though .* \(s2\)"),
    ],
)
def test_broken_files(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_unknown_id_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column nope \(id, ph\).*--id-column"):
        read(tmp_path, "id\tph\ns1\t7\n", id_column="nope")


def test_real_metadata(shared_data: Path) -> None:
    path = shared_data / "ibd/metadata.tsv"
    metadata = read_metadata(path, MetadataOptions(path))
    with path.open(encoding="utf-8", newline="") as stream:
        reference = list(csv.DictReader(stream, delimiter="\t"))
    assert metadata.frame.shape == (646, len(reference[0]) - 1)
    assert metadata.sample_ids.tolist() == [row["sample_name"] for row in reference]
    assert metadata.text("ibd").tolist() == [row["ibd"] for row in reference]
    assert sum(value is None for value in metadata.text("alcohol_frequency")) == sum(
        row["alcohol_frequency"] in ("Missing: Not provided", "Not applicable") for row in reference
    )
    np.testing.assert_array_equal(metadata.numeric("age"), [float(row["age"]) for row in reference])
    small = read_metadata(shared_data / "tadpole/metadata.txt", MetadataOptions())
    assert small.frame.shape == (18, 2)
    assert set(small.text("life_stage")) == {"tadpole", "juvenile", "adult"}
