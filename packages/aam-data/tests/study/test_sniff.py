"""Kinds of files by their first lines, and errors about files that were swapped."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_data.study.sniff import kind_of_file
from aam_data.study.study import read_study

ASV = "ACGTACGTACGTACGTACGTACGTACGTACGTACGT"
TEXTS = {
    "feature table": f"#OTU ID\ts1\ts2\n{ASV}\t1\t2\n",
    "metadata": "sample-id\tage\ns1\t3\n",
    "tree": "((a:1,b:1):1,c:2);",
    "sequences": f">a\n{ASV}\n",
    "taxonomy": f"Feature ID\tTaxon\n{ASV}\tk__Bacteria\n",
    "distances": "\ts1\ts2\ns1\t0.0\t0.5\ns2\t0.5\t0\n",
    "alpha diversity": "\tfaith_pd\ns1\t3.5\n",
    "splits": "sample-id\tsplit\tgroup\ns1\ttrain\t\n",
    "predictions": "sample-id\tprediction\ns1\t3\n",
    "importance": f"feature\timportance\n{ASV}\t1\n",
    "embeddings": "sample-id\tD1\tD2\ns1\t0.5\t1\n",
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("zipped", [False, True])
def test_kinds_of_text(kind: str, zipped: bool, tmp_path: Path) -> None:
    path, content = tmp_path / "file", TEXTS[kind].encode()
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert kind_of_file(path) == kind


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (f"feature,s1,s2\n{ASV},1,2\n{ASV}A,0,2\n", "feature table"),  # without a header that says so
        ("id,age\ns1,3\n", "metadata"),
        ("a,b,c\na,0,1,2\n", None),  # metadata need a name for their ids
        ('{"id": null, "rows": [], "columns": []}', "feature table"),
        ('{"something": 1}', None),
        ("one word\n", None),
        ("\n\n", None),
        ("\x1f\x8bnot gzip", None),
    ],
)
def test_other_texts(content: str, kind: str | None, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content.encode("latin-1"))
    assert kind_of_file(tmp_path / "file") == kind


def test_binary_files(tmp_path: Path) -> None:
    write_simulated_study(simulate_study(SimulateOptions(samples=8, asvs=12, hosts=2, depth=100)), tmp_path)
    assert kind_of_file(tmp_path / "table.biom") == "feature table"
    (tmp_path / "noise").write_bytes(bytes(range(128, 256)))
    assert kind_of_file(tmp_path / "noise") is None


@pytest.mark.parametrize(
    ("flag", "name", "message"),
    [
        ("--metadata", "table.tsv", "looks like a feature table file, not a metadata file. Pass it with --table"),
        ("--metadata", "tree.nwk", "looks like a tree file, not a metadata file. Pass it with --tree"),
        ("--metadata", "rep-seqs.fasta", "looks like a sequences file, not a metadata file. Pass it with --sequences"),
        ("--metadata", "taxonomy.tsv", "looks like a taxonomy file, not a metadata file. Pass it with --taxonomy"),
        ("--metadata", "distances.tsv", "looks like a distances file, not a metadata file"),
        ("--table", "metadata.tsv", "looks like a metadata file, not a feature table file. Pass it with --metadata"),
        ("--table", "rep-seqs.fasta", "looks like a sequences file, not a feature table file"),
        ("--tree", "rep-seqs.fasta", "looks like a sequences file, not a tree file. Pass it with --sequences"),
        ("--sequences", "tree.nwk", "looks like a tree file, not a sequences file. Pass it with --tree"),
        ("--taxonomy", "metadata.tsv", "looks like a metadata file, not a taxonomy file. Pass it with --metadata"),
    ],
)
def test_swapped_files_are_reported(flag: str, name: str, message: str, tmp_path: Path) -> None:
    write_simulated_study(simulate_study(SimulateOptions(samples=8, asvs=12, hosts=2, depth=100)), tmp_path)
    for kind, file in (("feature table", "table.tsv"), ("taxonomy", "taxonomy.tsv"), ("distances", "distances.tsv")):
        (tmp_path / file).write_text(TEXTS[kind])
    given = {"--table": tmp_path / "table.biom", flag: tmp_path / name}
    with pytest.raises(DataError, match=f"/{name}: {message}"):
        read_study(
            TableOptions(given["--table"], given.get("--sequences")),
            MetadataOptions(given.get("--metadata")),
            PhylogenyOptions(given.get("--tree")),
            TaxonomyOptions(given.get("--taxonomy")),
        )
