"""Metadata: the conventions of QIIME 2 and Qiita, missing values, and files that are rejected."""

from __future__ import annotations

import csv
import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions
from aam_data.readers.metadata.metadata import Metadata, read_metadata


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
ID_HEADERS += ["Id", "SampleID", "sample id", "FeatureID", "feature-id", "Feature ID", "#SAMPLE-ID", "otu id"]


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


def test_order_of_preference(tmp_path: Path) -> None:
    """--id-column, then the first column by name, then the only other one by name, then the first by its values."""
    everything = "id\tsample_name\tbarcode\na\tb\tc\n"
    assert read(tmp_path, everything, id_column="barcode", sample_ids={"a"}).sample_ids.tolist() == ["c"]
    assert read(tmp_path, everything, sample_ids={"b"}).sample_ids.tolist() == ["a"]
    other = "name\tsample_name\tbarcode\na\tb\tc\n"
    assert read(tmp_path, other, sample_ids={"a"}).sample_ids.tolist() == ["b"]
    several = "name\tsample_name\tfeature_id\na\tb\tc\n"
    by_values = read(tmp_path, several, sample_ids={"a"})
    assert by_values.sample_ids.tolist() == ["a"]
    assert by_values.columns == ["sample_name", "feature_id"]
    assert by_values.notes[1] == "m.tsv: ids are read from name, not from sample_name, feature_id"
    with pytest.raises(DataError, match=r"columns \(name, sample_name, feature_id\).*--id-column"):
        read(tmp_path, several, sample_ids={"b"})


def test_first_column_without_a_name(tmp_path: Path) -> None:
    """As pandas and R write row names, and as QIIME 2 writes alpha diversity."""
    frame = "\tph\tsite\ns1\t7\tgut\ns2\t8\tskin\n"
    metadata = read(tmp_path, frame, sample_ids={"s1", "s2", "s3"})
    assert metadata.sample_ids.tolist() == ["s1", "s2"]
    assert metadata.columns == ["ph", "site"]
    note = "warning: m.tsv: ids are read from the first column (without a name), which contains ids of the table"
    assert metadata.notes == (note,)
    with pytest.raises(DataError, match=r"no column of sample ids; columns \(\(no name\), ph, site\)"):
        read(tmp_path, frame)
    with pytest.raises(DataError, match=r"row 1: columns without a name \(number 1\)"):
        read(tmp_path, "\tid\n7\ts1\n")
    numbered = read(tmp_path, "\tid\tph\n0\ts1\t7\n1\ts2\t8\n")
    assert (numbered.sample_ids.tolist(), numbered.columns) == (["s1", "s2"], ["ph"])
    numbers = read(tmp_path, "\tph\n1\t7\n2\t8\n", sample_ids={"1", "2"})
    assert (numbers.sample_ids.tolist(), numbers.columns) == (["1", "2"], ["ph"])
    vector = read(tmp_path, "\tfaith_pd\ns1\t7.5\n")
    assert (vector.sample_ids.tolist(), vector.numeric("faith_pd").tolist(), vector.notes) == (["s1"], [7.5], ())


def test_first_column_by_its_values(tmp_path: Path) -> None:
    content = "barcode\tph\ns1\t7\ns2\t8\nother\t9\n"
    metadata = read(tmp_path, content, sample_ids={"s1", "s2", "s3"})
    assert metadata.sample_ids.tolist() == ["s1", "s2", "other"]
    assert "the first column (barcode)" in metadata.notes[0]
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
    assert read(tmp_path, gzip.compress(content.encode()), "M.CSV.gz").notes == ()
    assert read(tmp_path, "# a note, with commas\n" + content).notes == ("m.tsv is separated by commas",)
    assert read(tmp_path, "id\ns1\n", "m.csv").columns == []
    for text, name, message in (
        ("id\tsite, part\ns1\tgut\n", "m.csv", "the header has tabs and commas"),
        ("id,site\n# x\ns1\tgut\n", "m.tsv", "the header has commas and the row under it has tabs"),
        ("id;site\ns1;gut\n", "m.csv", "separated by semicolons.*Save it with tabs or commas"),
    ):
        with pytest.raises(DataError, match=message):
            read(tmp_path, text, name)


def test_gzip_and_artifact(tmp_path: Path, write_artifact: Callable[..., Path]) -> None:
    content = b"id\tph\ns1\t7\n"
    assert read(tmp_path, gzip.compress(content)).sample_ids.tolist() == ["s1"]
    path = write_artifact(tmp_path / "m.qza", "ImmutableMetadata", "metadata.tsv", content)
    assert read_metadata(path, MetadataOptions(path)).sample_ids.tolist() == ["s1"]
    wrong = write_artifact(tmp_path / "w.qza", "DistanceMatrix", "distance-matrix.tsv", content)
    with pytest.raises(DataError, match=r"expected ImmutableMetadata or SampleData\[AlphaDiversity\], got DistanceM"):
        read_metadata(wrong, MetadataOptions(wrong))


def test_alpha_diversity_is_metadata(shared_data: Path) -> None:
    path = shared_data / "tadpole/faith_pd_vector.qza"
    metadata = read_metadata(path, MetadataOptions(path))
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data/alpha-diversity.tsv"))
        reference = pd.read_csv(archive.open(name), sep="\t", index_col=0)
    assert metadata.sample_ids.tolist() == reference.index.tolist()
    np.testing.assert_allclose(metadata.numeric("faith_pd"), reference["faith_pd"], rtol=1e-15)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "no.tsv", "cannot be read: No such file"), (tmp_path, "is a directory")):
        with pytest.raises(DataError, match=rf"{path}: {message}.*Pass an existing, readable file to --metadata"):
            read_metadata(path, MetadataOptions(path))
    with pytest.raises(DataError, match=r"damaged gzip file.*Copy the file again"):
        read(tmp_path, gzip.compress(b"id\tph\ns1\t7\n" * 99)[:-20])


def test_directives(tmp_path: Path) -> None:
    rows = "#q2:types for QIIME\tNumeric\tcategorical\t\n#q2:missing\tblank\tINSDC:missing\tno-missing\n"
    metadata = read(tmp_path, f"id\tph\tsite\thost\n{rows}#q2:colour\tred\ns1\t7\tgut\th1\n")
    assert metadata.types == {"ph": "numeric", "site": "categorical"}
    assert metadata.sample_ids.tolist() == ["s1"]
    assert metadata.notes == ("warning: m.tsv: row 4, the directive #q2:colour is not known and was skipped",)
    for rows, message in {
        "#q2:types\nid\tph\ns1\t7\n": r"not directly under the header \(row 1: #q2:types\)",
        "id\tph\ns1\t7\n#q2:types\nx\t1\n#q2:missing\n": r"\(row 3: #q2:types, row 5: #q2:missing\)",
        "id\tph\n#q2:types\n#q2:types\tnumeric\ns1\t7\n": "row 3: the directive #q2:types appears twice",
    }.items():
        with pytest.raises(DataError, match=message):
            read(tmp_path, rows)


def test_missing_directive(tmp_path: Path) -> None:
    """INSDC:missing applies to its column even if --no-default-na disables the usual words."""
    rows = "id\ta\tb\tc\n#q2:missing\tINSDC:missing\tblank\n"
    words = ["not applicable", "missing", "not collected", "not provided", "restricted access"]  # of QIIME 2
    rows += "".join(f"s{i}\t{word}\t{word}\tx\n" for i, word in enumerate([*words, "x"]))
    metadata = read(tmp_path, rows, default_na=False)
    assert metadata.text("a").tolist() == [None] * 5 + ["x"]
    assert metadata.text("b").tolist() == [*words, "x"]
    assert read(tmp_path, rows).text("b").tolist() == [None] * 5 + ["x"]


def test_kind_of_a_column(tmp_path: Path) -> None:
    """QIIME 2's rule: numeric if all values are numbers, even if there are none; directives take precedence."""
    metadata = read(
        tmp_path,
        "id\tage\tsite\tcode\tnothing\tplain\n#q2:types\t\t\tcategorical\tcategorical\n"
        "s1\t7\tgut\t1\t\t\ns2\tmissing\t7\t2\t\tnot provided\n",
    )
    kinds = {"age": "numeric", "site": "categorical", "code": "categorical", "nothing": "categorical"}
    assert {name: metadata.kind(name) for name in metadata.columns} == kinds | {"plain": "numeric"}
    for value in ("nan", "inf", "1,5", "<5", "NA"):
        assert read(tmp_path, column(["1", value])).kind("value") == "categorical"


def test_comments_and_line_breaks_are_pointed_out(tmp_path: Path) -> None:
    metadata = read(tmp_path, 'id\tsite\n# a comment\n#s1\tgut\ns2\t"gut\nlower"\n#s3\tskin\ns4\tskin\n')
    assert metadata.sample_ids.tolist() == ["s2", "s4"]
    assert metadata.text("site")[0] == "gut\nlower"
    assert metadata.notes == (
        "m.tsv: 2 rows start with # and were skipped as comments, as in QIIME 2 (row 3, 6)",
        "warning: m.tsv: 1 rows contain a line break inside quotes; make sure that every quote is closed (row 4)",
    )


MISSING = ["", "missing", "Missing: Not provided", "not applicable", "Not  Collected", "MISSING: not collected: lab"]
MISSING += ["restricted access", "missing: control sample", "not provided", "missing: not collected: lab stock"]
MISSING += ["Missing: Not collected", "Not applicable", "missing: not provided", "missing: restricted access"]  # Qiita
MISSING += [  # INSDC, 2023
    "missing: sample group", "missing: synthetic construct", "missing: lab stock", "missing: third party data",
    "missing: data agreement established pre-2023", "missing: endangered species", "missing: human-identifiable",
]  # fmt: skip
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
    assert metadata.notes == ("m.tsv: several columns are named age, so these cannot be used",)
    assert metadata.columns == ["body_site"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "file is empty"),
        ("# only\n# comments\n", "no header"),
        ("id\tph\n", "a header without rows"),
        ("id\tph\n# s1\t7\n", "a header without rows"),
        ("id\tph\ns1\t7\ns1\t8\n", r"column id: sample ids that appear more than once \(s1\)"),
        ("id\tph\ns1\t7\n\t8\n", r"rows without a sample id \(row 3\)"),
        ("ph\tid\n7\t#s1\n", r"start with # \(#s1\)"),
        ("id\tph\ns1\t7\t\ns2\t7\t9\n", r"more cells than the header's 2 \(row 3: 3\). Quote cells"),
        ("id\tph\n\ns1\t7\t9\ns2\t\t\t9\t\n", r"more cells than the header's 2 \(row 3: 3, row 4: 4\)"),
        ("ph\tsite\ns1\t7\tgut\ns2\t8\tgut\n", r"Name the first column too; R's write.table"),
        ("id\tph\ns1\t7\nid\tph\ns2\t8\n", r"the header appears again \(row 3\)"),
        ("id\t\tph\ns1\t7\t8\n", r"row 1: columns without a name \(number 2\)"),
        ('id\tph\ns1\t"7\ns2\t8\n', "row 2: cannot be split: unexpected end of data"),
        ('id\tph\ns1\t"7"x\ns2\t8\n', "row 2: cannot be split"),
        (b"id\tph\tsite\ns1\t7\tgut\ns2\t8\tcaf\xe9\n", r"not UTF-8 text \(row 3, column 3: b'\\xe9'\).*Save it"),
        (b"id,ph\r\ns\xe9,7\r\ns2,\xb5\r\n", r"\(row 2, column 1: b'\\xe9', row 3, column 2: b'\\xb5'\)"),
        (b"id\tph\ns1\t7\0\n", "not UTF-8 text: it contains NUL bytes"),
        ("id\tph\n".encode("utf-16"), "UTF-16, not UTF-8 text. Save it as UTF-8"),
        ("id\tph\n".encode("utf-16-le"), "UTF-16, not UTF-8 text. Save it as UTF-8"),
        ("barcode\tph\ns1\t7\n", r"no column of sample ids; columns \(barcode, ph\)"),
        ("id\tph\n#q2:types\tnumber\ns1\t7\n", r"row 2 \(#q2:types\): unknown values \(number\)"),
        ("id\tph\n#q2:missing\tinsdc:missing\ns1\t7\n", r"unknown values \(insdc:missing\)"),
        ("id\tph\n#q2:missing\tno-missing\ns1\t7\ns2\t\n", r"column ph has missing values, although .* \(s2\)"),
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


def test_a_column_that_holds_samples_is_suggested(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text("plate\tmy ids\tage\np1\ts1\t3\np1\ts2\t4\n")
    message = r"no column of sample ids.*Column my ids contains ids of the table: pass --id-column 'my ids'"
    with pytest.raises(DataError, match=message):
        read_metadata(path, MetadataOptions(), sample_ids={"s1", "s2", "s3"})
    assert read_metadata(path, MetadataOptions(id_column="my ids")).sample_ids.tolist() == ["s1", "s2"]
