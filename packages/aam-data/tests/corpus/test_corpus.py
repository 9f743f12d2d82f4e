"""A corpus holds what the files of its studies hold, and a damaged or unfinished one is noticed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import biom
import h5py
import numpy as np
import pytest

from aam_data.corpus.add import add_study
from aam_data.corpus.check import check_corpus
from aam_data.corpus.manifest import read_manifest
from aam_data.corpus.read import read_corpus
from aam_data.errors import DataError, DataErrors
from aam_data.options.corpus import CorpusStudyOptions
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.study.study import Study, read_study
from aam_data.table import CountTable


def files_of(folder: Path) -> Study:
    return read_study(
        TableOptions(folder / "table.biom"),
        MetadataOptions(folder / "metadata.tsv"),
        PhylogenyOptions(folder / "tree.nwk"),
    )


def write_table(path: Path, counts: dict[str, dict[str, int]]) -> TableOptions:
    """A BIOM table of counts by sample and feature."""
    features = sorted({feature for row in counts.values() for feature in row})
    matrix = np.array([[row.get(feature, 0) for row in counts.values()] for feature in features], dtype=float)
    with h5py.File(path, "w") as file:
        biom.Table(matrix, features, list(counts)).to_hdf5(file, "test")
    return TableOptions(path)


def reads_by_text(study: Study, row: int) -> dict[str, int]:
    features, counts = study.table.rows.row(row)
    return {study.sequences.text(int(i)): int(n) for i, n in zip(features, counts, strict=True)}


def same_table(left: CountTable, right: CountTable) -> bool:
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(left.data, right.data, strict=True))


def test_a_corpus_of_one_study_holds_the_same_arrays(
    studies: dict[int, Path], add: Callable[..., Path], tmp_path: Path
) -> None:
    expected = files_of(studies[100])
    found = read_corpus(add(tmp_path / "corpus", studies[100], "only", prefix=False), ["host", "status"])
    assert found.table.sample_ids.tolist() == expected.table.sample_ids.tolist()
    assert same_table(found.table, expected.table)
    assert np.array_equal(found.table.depths(), expected.table.depths())
    for name in ("codes", "lengths", "keys", "starts"):
        own, other = getattr(found.sequences, name), getattr(expected.sequences, name)
        assert own.dtype == other.dtype
        assert np.array_equal(own, other)
    assert found.forest is not None
    assert expected.phylogeny is not None
    (tree,) = found.forest.trees
    for name in ("tip_start", "tip_stop", "branch_length", "feature_tip", "n_tips"):
        assert np.array_equal(getattr(tree, name), getattr(expected.phylogeny, name))
    assert found.metadata is not None
    assert expected.metadata is not None
    for column in ("host", "status"):
        assert found.metadata.text(column).tolist() == expected.metadata.text(column).tolist()
    assert set(found.metadata.text("corpus_study")) == {"only"}


def test_tables_of_three_lengths_are_one(corpus: Path, studies: dict[int, Path]) -> None:
    found = read_corpus(corpus, ["host"])
    assert found.table.n_samples == 36
    texts = [found.sequences.text(i) for i in range(len(found.sequences))]
    assert texts == sorted(set(texts))  # each once, in canonical order
    assert {len(text) for text in texts} == {100, 125, 150}
    row = 0
    for length, folder in studies.items():
        expected = files_of(folder)
        for i in range(expected.table.n_samples):
            assert found.table.sample_ids[row] == f"bases-{length}/{expected.table.sample_ids[i]}"
            assert reads_by_text(found, row) == reads_by_text(expected, i)
            row += 1
    assert found.forest is not None
    assert found.forest.tree_of.tolist() == [0] * 12 + [-1] * 12 + [1] * 12
    assert found.metadata is not None
    assert found.metadata.text("corpus_study").tolist()[::12] == ["bases-150", "bases-100", "bases-125"]


def test_rows_in_any_order_are_those_of_the_table_in_memory(corpus: Path) -> None:
    table = read_corpus(corpus).table
    in_memory = CountTable(table.sample_ids, table.feature_ids, table.data)
    rows = np.random.default_rng(0).integers(0, 36, 100)
    for left, right in zip(table.take_counts(rows), in_memory.take_counts(rows), strict=True):
        assert np.array_equal(left, right)
        assert left.dtype == right.dtype
    features = np.arange(table.n_features) % 3 == 0
    for name, arguments in (
        ("depths", ()),
        ("features_per_sample", ()),
        ("samples_per_feature", ()),
        ("reads_per_feature", (np.array([1, 30]),)),
        ("observed_in", (np.array([1, 30]),)),
        ("reads_in", (features,)),
        ("number_of", (features,)),
    ):
        assert np.array_equal(getattr(table, name)(*arguments), getattr(in_memory, name)(*arguments)), name
    assert table.is_integer


def test_a_sequence_of_two_studies_is_there_once(tmp_path: Path) -> None:
    a, b, c, odd = "ACGT" * 10, "ACGT" * 8, "TCGA" * 10, "ACGT" * 9 + "ACNT"
    first = write_table(tmp_path / "1.biom", {"s1": {a: 3, odd: 2}, "s2": {b: 1}})
    second = write_table(tmp_path / "2.biom", {"t1": {a: 2**33, c: 5}, "t2": {odd: 7, b: 1}})
    corpus = tmp_path / "corpus"
    for name, table in (("one", first), ("two", second)):
        add_study(corpus, CorpusStudyOptions(name), table)
    study = read_corpus(corpus)
    assert [study.sequences.text(i) for i in range(4)] == sorted([a, b, c, odd])
    assert [reads_by_text(study, row) for row in range(4)] == [{a: 3, odd: 2}, {b: 1}, {a: 2**33, c: 5}, {odd: 7, b: 1}]
    assert study.table.take_counts(np.array([0])).counts.dtype == np.int64  # as the other study's
    assert check_corpus(corpus).asvs == 4


def test_taxa_of_the_first_study_count(tmp_path: Path) -> None:
    a, b = "ACGT" * 10, "TCGA" * 10
    corpus = tmp_path / "corpus"
    for name, taxa in (("one", {a: "d__X; p__Y"}), ("two", {a: "d__Other", b: "d__Z"})):
        table = write_table(tmp_path / f"{name}.biom", {f"{name}-s": {a: 3, b: 2}})
        (tmp_path / "taxa.tsv").write_text("Feature ID\tTaxon\n" + "".join(f"{i}\t{t}\n" for i, t in taxa.items()))
        add_study(corpus, CorpusStudyOptions(name), table, taxonomy=TaxonomyOptions(tmp_path / "taxa.tsv"))
    taxonomy = read_corpus(corpus, with_taxonomy=True).taxonomy
    assert taxonomy is not None
    assert taxonomy.taxa.tolist() == ["d__X; p__Y", "d__Z"]


def test_columns_of_some_studies_are_missing_in_the_others(tmp_path: Path) -> None:
    a, corpus = "ACGT" * 10, tmp_path / "corpus"
    for name, header in (("one", "sample-id\tage"), ("two", "sample-id\tsite")):
        table = write_table(tmp_path / f"{name}.biom", {f"{name}-1": {a: 3}, f"{name}-2": {a: 3}})
        (tmp_path / "m.tsv").write_text(f'{header}\n{name}-1\t"a ""b"""\n{name}-2\tnot provided\n')
        add_study(corpus, CorpusStudyOptions(name), table, MetadataOptions(tmp_path / "m.tsv"))
    metadata = read_corpus(corpus, ["age", "site"]).metadata
    assert metadata is not None
    assert metadata.text("age").tolist() == ['a "b"', None, None, None]
    assert metadata.text("site").tolist() == [None, None, 'a "b"', None]
    with pytest.raises(DataError, match=r"no study of the corpus has a column host\. Columns: corpus_study, age, site"):
        read_corpus(corpus, ["host"])


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a" * 65, "a b", "é", "a\n"])
def test_names_are_of_a_fixed_pattern(name: str, studies: dict[int, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a study is named by 1 to 64 letters"):
        add_study(tmp_path / "corpus", CorpusStudyOptions(name), TableOptions(studies[100] / "table.biom"))
    assert list(tmp_path.iterdir()) == []


def test_names_and_samples_of_a_corpus_are_unique(
    studies: dict[int, Path], add: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = add(tmp_path / "corpus", studies[100], "a", prefix=False)
    before = (corpus / "manifest.json").read_bytes()
    with pytest.raises(DataError, match=r"--name a: the corpus has a study of this name"):
        add(corpus, studies[125], "a")
    with pytest.raises(DataError, match=r"12 of 12 sample ids are those of samples of study a .*--prefix-samples"):
        add(corpus, studies[125], "b", prefix=False)
    assert (corpus / "manifest.json").read_bytes() == before
    add(corpus, studies[125], "b")
    assert len(set(read_corpus(corpus).table.sample_ids)) == 24


def test_a_column_with_the_name_of_the_built_in_one_is_an_error(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.biom", {"s": {"ACGT" * 10: 3}})
    (tmp_path / "m.tsv").write_text("sample-id\tcorpus_study\ns\tx\n")
    with pytest.raises(DataError, match=r"a column is named corpus_study.*Rename the column"):
        add_study(tmp_path / "corpus", CorpusStudyOptions("a"), table, MetadataOptions(tmp_path / "m.tsv"))


def test_fractions_are_no_study(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(f"#OTU ID\ts1\ts2\n{'ACGT' * 10}\t0.5\t0.25\n")
    with pytest.raises(DataError, match="a corpus holds reads, and the table has fractions"):
        add_study(
            tmp_path / "corpus", CorpusStudyOptions("a"), TableOptions(tmp_path / "t.tsv", relative_abundance=True)
        )
    assert not (tmp_path / "corpus").exists()


def test_reads_that_start_elsewhere_are_a_warning(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    gene = "".join(random.choice(list("ACGT"), 160))
    texts = [
        "".join(random.choice(list("ACGT")) if random.random() < 0.1 else base for base in gene) for _ in range(40)
    ]
    tables = [
        write_table(tmp_path / f"{start}.biom", {f"{start}-{i}": {text[start:]: 5} for i, text in enumerate(texts)})
        for start in (0, 7)
    ]
    add_study(tmp_path / "corpus", CorpusStudyOptions("a"), tables[0])
    _, notes = add_study(tmp_path / "corpus", CorpusStudyOptions("b"), tables[1])
    (note,) = [note for note in notes if note.code == "corpus-several-frames"]
    assert "only 0% of the reads start where those of study a do" in note
    assert "100% start elsewhere" in note


def test_a_folder_of_something_else_is_left_alone(
    studies: dict[int, Path], add: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"neither a corpus nor empty \(notes\.txt\)"):
        add(tmp_path, studies[100], "a")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(DataError, match=r"not a corpus \(it has no manifest\.json\)"):
        read_corpus(tmp_path)


def test_every_flipped_byte_is_named_with_its_study(corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "corpus"
    shutil.copytree(corpus, copy)
    manifest = check_corpus(copy)
    names = {study.folder: f"study {study.name}" for study in manifest.studies}
    for folder, files in manifest.folders().items():
        for name in files:
            path = copy / folder / name
            content = path.read_bytes()
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            with pytest.raises(DataError) as caught:
                check_corpus(copy)
            assert not isinstance(caught.value, DataErrors)
            assert caught.value.file == path
            assert names.get(folder, "the dictionary of sequences") in str(caught.value)
            path.write_bytes(content)
    check_corpus(copy)


def test_what_is_missing_or_shorter_is_named_when_a_corpus_is_opened(corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "corpus"
    shutil.copytree(corpus, copy)
    (copy / "study-0002" / "counts.npy").write_bytes(b"x")
    with pytest.raises(DataError, match=r"study-0002/counts\.npy: 1 bytes, where .* were written \(study bases-100\)"):
        read_corpus(copy)
    (copy / "study-0002" / "counts.npy").unlink()
    (copy / "study-0003" / "indptr.npy").unlink()
    with pytest.raises(DataErrors) as caught:
        check_corpus(copy)
    assert [error.problem for error in caught.value.errors] == [
        "the file is missing (study bases-100)",
        "the file is missing (study bases-125)",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["studies"][0].update(name="../../x"), "the file was changed or is damaged"),
        (lambda c: c.update(format_version=2), "format '2', but this version of AAM reads formats up to 1"),
        (lambda c: c.update(kind="model"), "not the manifest of a corpus"),
        (lambda c: c.pop("sha256"), "the file was changed or is damaged"),
    ],
)
def test_a_changed_manifest_is_not_read(
    change: Callable[[dict[str, object]], object], message: str, corpus: Path, tmp_path: Path
) -> None:
    content = json.loads((corpus / "manifest.json").read_text())
    change(content)
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path)


def test_a_study_killed_at_any_file_leaves_the_corpus_as_it_was(
    studies: dict[int, Path], add: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = add(tmp_path / "corpus", studies[150], "first")
    script = Path(__file__).parent / "interrupted_adds.py"
    words = [sys.executable, str(script), str(corpus), str(studies[100]), "second"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    *before, after = done.stdout.splitlines()
    assert len(before) > 20
    assert before == ["-9 1 12"] * len(before)
    assert after == "-9 2 24"  # killed after the manifest was replaced
    add(corpus, studies[125], "third")
    assert sorted(path.name for path in corpus.iterdir()) == [
        "dictionary-0002", "dictionary-0003", "manifest.json", "study-0001", "study-0002", "study-0003",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == [corpus]  # no lock is left


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_mapped_files_take_a_bounded_part_of_memory(tmp_path: Path) -> None:
    """Files of 256 MB, of which a process has less than 140 MB at any time, whatever it reads."""
    entries, n_samples = 128, 250_000
    np.save(tmp_path / "indices.npy", np.tile(np.arange(entries, dtype=np.int32), n_samples))
    np.save(tmp_path / "counts.npy", np.repeat(np.arange(n_samples, dtype=np.int32) % 1000 + 1, entries))
    script = Path(__file__).parent / "resident_memory.py"
    words = [sys.executable, str(script), str(tmp_path), str(entries)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 140
