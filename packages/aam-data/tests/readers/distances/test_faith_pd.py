"""Tables of Faith's PD: every layout yields the same values, and other files are rejected."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.readers.distances.faith_pd import read_faith_pd
from aam_data.study.study import read_study
from aam_data.unifrac.unifrac import faith_pd
from aam_data.unifrac.write import write_faith_pd

ROWS = "s1\t1.5\n001\t0\nS 3\t2e1\n"


def assert_expected(path: Path) -> None:
    table = read_faith_pd(path)
    assert table.ids.tolist() == ["s1", "001", "S 3"]
    assert table.values.tolist() == [1.5, 0, 20]
    assert table.values.dtype == np.float64


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        "#SampleID\tfaith_pd\n" + ROWS,
        "\tfaith_pd\n" + ROWS,
        "sample-id\tfaith_pd\n#q2:types\tnumeric\n\n" + ROWS,
        "\ufeff\tfaith_pd\r\n" + ROWS.replace("\n", "\r\n"),
        '"","PD"\n' + ROWS.replace("\t", ","),
    ],
    ids=["headerless", "faithpd", "qiime2", "metadata", "windows", "csv"],
)
def test_layouts(tmp_path: Path, content: str) -> None:
    for name in ("pd.tsv", "pd.txt"):
        (tmp_path / name).write_text(content, encoding="utf-8", newline="")
        assert_expected(tmp_path / name)
    (tmp_path / "pd.tsv.gz").write_bytes(gzip.compress(content.encode()))
    assert_expected(tmp_path / "pd.tsv.gz")


def test_named_csv(tmp_path: Path) -> None:
    (tmp_path / "pd.csv").write_text(ROWS.replace("\t", ","))
    assert_expected(tmp_path / "pd.csv")


def test_artifact(tmp_path: Path, write_artifact: Callable[..., Path]) -> None:
    content = ("\tfaith_pd\n" + ROWS).encode()
    kind = "SampleData[AlphaDiversity] % Properties('phylogenetic')"
    assert_expected(write_artifact(tmp_path / "pd.qza", kind, "alpha-diversity.tsv", content))
    other = write_artifact(tmp_path / "m.qza", "DistanceMatrix", "distance-matrix.tsv", content)
    with pytest.raises(DataError, match=r"expected SampleData\[AlphaDiversity\], got DistanceMatrix"):
        read_faith_pd(other)


def test_what_aam_writes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(5) * 30
    write_faith_pd(tmp_path / "pd.tsv", [f"s{i}" for i in range(5)], values)
    table = read_faith_pd(tmp_path / "pd.tsv")
    assert table.ids.tolist() == [f"s{i}" for i in range(5)]
    np.testing.assert_array_equal(table.values, values)


def test_qiime2_and_our_own(shared_data: Path) -> None:
    folder = shared_data / "tadpole"
    study = read_study(
        TableOptions(folder / "rarefied_table.qza", sequences=folder / "rep-seqs.qza"),
        phylogeny=PhylogenyOptions(tree=folder / "rooted-tree.qza"),
    )
    assert study.phylogeny is not None
    table = read_faith_pd(folder / "faith_pd_vector.qza")
    actual = dict(zip(study.table.sample_ids, faith_pd(study.phylogeny, study.table.data), strict=True))
    assert set(table.ids) == set(actual)
    np.testing.assert_allclose(table.values, [actual[name] for name in table.ids], rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "file is empty"),
        ("\n\n", "no samples"),
        ("\tfaith_pd\n", "no samples"),
        ("s1\n", r"expected two columns \(row 1 has 1\)"),
        ("\tfaith_pd\tshannon\ns1\t1\t2\n\ns2\t3\t4\n", r"expected two columns \(row 2 has 3, row 4 has 3\)"),
        ("\tfaith_pd\ns1\t1\ns1\t2\n", r"appear more than once \(s1\)"),
        ("\tfaith_pd\ns1\t1\n\t2\n", r"empty sample ids \(number 2\)"),
        ("s1\tnan\ns2\t2\n", r"1 of 2 values are not finite numbers \('nan' of s1\)"),
        ("s1\t\ns2\t2\n", r"1 of 2 values are not finite numbers \('' of s1\)"),
        ("s1\t1\ns2\tlow\ns3\t1e999\ns4\t1_0\n", "3 of 4 .*'low' of s2, '1e999' of s3, '1_0' of s4"),
        ("s1\t-1\ns2\t-0.5\n", r"2 of 2 values are negative.*\(-1 of s1, -0.5 of s2\)"),
    ],
)
def test_rejects(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "pd.tsv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_faith_pd(tmp_path / "pd.tsv")
