"""Taxonomy of features: QIIME 2's own files, other spellings, and files that are rejected."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aam_data.errors import DataError
from aam_data.readers.biom.table import read_table
from aam_data.readers.taxonomy import Taxonomy, read_taxonomy

BACTEROIDES = "k__Bacteria; p__Bacteroidetes; g__Bacteroides"


def read(folder: Path, content: str | bytes, name: str = "t.tsv") -> Taxonomy:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_taxonomy(path)


@pytest.mark.parametrize("study", ["ibd", "tadpole"])
def test_real_taxonomy(shared_data: Path, study: str) -> None:
    path = shared_data / study / "taxonomy.qza"
    taxonomy = read_taxonomy(path)
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data/taxonomy.tsv"))
        reference = pd.read_csv(archive.open(name), sep="\t", index_col=0)
    assert taxonomy.feature_ids.tolist() == reference.index.tolist()
    assert taxonomy.taxa.tolist() == reference["Taxon"].tolist()
    assert taxonomy.support is not None
    np.testing.assert_array_equal(taxonomy.support, [float(value) for value in reference["Confidence"]])
    features = read_table(shared_data / study / "table.qza").table.feature_ids
    aligned = taxonomy.take(features)
    assert aligned.taxa.tolist() == reference["Taxon"].reindex(features).tolist()


def test_rows_in_other_bytes(tmp_path: Path) -> None:
    plain = read(tmp_path, f"Feature ID\tTaxon\na\t{BACTEROIDES}\nb\tUnassigned\n")
    assert plain.support is None
    assert plain.taxa.tolist() == [BACTEROIDES, "Unassigned"]
    content = (
        f"\ufeff# made by hand\r\n\r\n#OTU ID\ttaxonomy\tn\tConsensus\r\n# x\r\na\t{BACTEROIDES}\t3\t0.9\r\nb\tx\r\n"
    )
    for stored in (content.encode(), gzip.compress(content.encode())):
        taxonomy = read(tmp_path, stored)
        assert taxonomy.feature_ids.tolist() == ["a", "b"]
        np.testing.assert_array_equal(taxonomy.support, [0.9, np.nan])
    assert read(tmp_path, "Feature ID,Taxon\na,x\n", "t.csv").taxa.tolist() == ["x"]


def test_take_reorders_and_fills(tmp_path: Path) -> None:
    taxonomy = read(tmp_path, "Feature ID\tTaxon\tConfidence\na\tx\t0.5\nb\ty\t0.25\n")
    taken = taxonomy.take(["b", "c", "a"])
    assert taken.feature_ids.tolist() == ["b", "c", "a"]
    assert taken.taxa.tolist() == ["y", None, "x"]
    np.testing.assert_array_equal(taken.support, [0.25, np.nan, 0.5])
    assert read(tmp_path, "id\tTaxon\na\tx\n").take(["a", "z"]).support is None
    message = r"none of the table's features; the table has A, B; this file has a, b. 2 of 2 ids would match if upper"
    with pytest.raises(DataError, match=message):
        taxonomy.take(["A", "B"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "file is empty"),
        ("# only a comment\n", "expected the header Feature ID<TAB>Taxon, found nothing"),
        ("a\tk__Bacteria\n", "found a, k__Bacteria. Add this header"),
        ("Feature ID\tTaxon\n# a\tx\n", "a header without rows"),
        ("Feature ID\tTaxon\na\tx\ty\n", r"more cells than the header \(row 2\)"),
        ("Feature ID\tTaxon\na\tx\nb\nc\t\n", r"rows without a taxon \(row 3, row 4\)"),
        ("Feature ID\tTaxon\na\tx\na\ty\n", r"column Feature ID: feature ids that appear more than once \(a\)"),
        ("Feature ID\tTaxon\n\tx\n", r"empty feature ids"),
        ("Feature ID\tTaxon\tConfidence\na\tx\thigh\nb\tx\tinf\n", r"\(row 2: 'high', row 3: 'inf'\)"),
        (b"Feature ID\tTaxon\na\t\xe9\n", r"not UTF-8 text \(row 2, column 2"),
    ],
)
def test_broken_files(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_a_message_is_one_line_whatever_a_cell_holds(tmp_path: Path) -> None:
    """Found by fuzzing."""
    (tmp_path / "t.tsv").write_bytes(b'"id\nid"\n')
    with pytest.raises(DataError, match=r"found id\\nid\. Add this header") as caught:
        read_taxonomy(tmp_path / "t.tsv")
    assert "\n" not in str(caught.value)
