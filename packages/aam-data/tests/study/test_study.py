"""A study: files aligned by id, features in canonical order, nothing dropped silently."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import biom
import h5py
import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.readers.newick.tree import read_newick
from aam_data.study.study import Study, read_study
from aam_data.table import CountTable

A, B, C, D = "ACGT" * 10, "CCGT" * 10, "GCGT" * 10, "TCGT" * 10
COUNTS = [[5, 0, 1], [0, 4, 2], [7, 0, 0]]  # features by samples
SAMPLES = ["s1", "s2", "s3"]


def write_table(
    folder: Path, features: Sequence[str] = (C, A, B), counts: object = COUNTS, samples: Sequence[str] = SAMPLES
) -> TableOptions:
    path = folder / "table.biom"
    with h5py.File(path, "w") as file:
        biom.Table(np.array(counts, dtype=float), features, samples).to_hdf5(file, "test")
    return TableOptions(path)


def write_metadata(folder: Path, samples: Sequence[str] = SAMPLES, **options: object) -> MetadataOptions:
    path = folder / "metadata.tsv"
    path.write_text("id\tph\n" + "".join(f"{name}\t{i}\n" for i, name in enumerate(samples)))
    return MetadataOptions(path, **options)  # type: ignore[arg-type]


def write_tree(folder: Path, names: Sequence[str], **options: object) -> PhylogenyOptions:
    path = folder / "tree.nwk"
    caterpillar = f"{names[0]}:1"
    for name in names[1:]:
        caterpillar = f"({caterpillar},{name}:1):1"
    path.write_text(f"{caterpillar};")
    return PhylogenyOptions(path, **options)  # type: ignore[arg-type]


def dense(table: CountTable) -> np.ndarray:
    result = np.zeros((table.n_samples, table.n_features), dtype=table.data.counts.dtype)
    sample = np.repeat(np.arange(table.n_samples), table.features_per_sample())
    result[sample, table.data.indices] = table.data.counts
    return result


def texts(study: Study) -> list[str]:
    return [study.sequences.text(i) for i in range(study.table.n_features)]


def test_canonical_order(tmp_path: Path) -> None:
    study = read_study(write_table(tmp_path))
    assert study.table.sample_ids.tolist() == SAMPLES
    assert study.table.feature_ids.tolist() == texts(study) == [A, B, C]
    np.testing.assert_array_equal(dense(study.table), [[0, 7, 5], [4, 0, 0], [2, 0, 1]])
    assert study.notes == ()
    assert [item.path for item in study.inputs] == [str(tmp_path / "table.biom")]
    assert (study.metadata, study.phylogeny, study.distances) == (None, None, None)


def test_order_of_the_file_does_not_matter(tmp_path: Path) -> None:
    one = read_study(write_table(tmp_path))
    other = read_study(write_table(tmp_path, (B, C, A), [COUNTS[2], COUNTS[0], COUNTS[1]]))
    for ours, theirs in zip(one.table.data, other.table.data, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(one.sequences.keys, other.sequences.keys)


def test_equal_sequences_are_merged(tmp_path: Path) -> None:
    study = read_study(write_table(tmp_path, (A.lower(), A, B)))
    assert texts(study) == [A, B]
    assert study.table.feature_ids.tolist() == [A, B]
    np.testing.assert_array_equal(dense(study.table), [[5, 7], [4, 0], [3, 0]])
    assert study.notes == ("1 of 3 features have the same sequence as another feature and were added to it",)


def test_trim_length_merges(tmp_path: Path) -> None:
    table = write_table(tmp_path, (A + "C", A + "GG", B[:35]))
    study = read_study(TableOptions(table.table, trim_length=38))
    assert texts(study) == [A[:38], B[:35]]
    np.testing.assert_array_equal(dense(study.table), [[5, 7], [4, 0], [3, 0]])
    assert study.notes == (
        "--trim-length 38 cut 2 of 3 sequences",
        "1 of 3 sequences are shorter than --trim-length and were kept whole",
        "1 of 3 features have the same sequence as another feature and were added to it",
        "sequences are 35 to 38 bases long (1 of 35, 1 of 38)",
    )
    assert study.sequences.merged_ids == {0: (A + "C", A + "GG")}


def test_studies_of_several_read_lengths(tmp_path: Path) -> None:
    """One organism at 90, 100 and 150 bases counts thrice until --trim-length makes it one; its ids are kept."""
    whole = "GATTACA" * 25
    features = [whole[:150], whole[:90], whole[:100]]
    options = write_table(tmp_path, features)
    study = read_study(options)
    assert texts(study) == sorted(features)
    assert study.sequences.merged_ids == {}
    assert study.notes == (
        "sequences are 90 to 150 bases long (1 of 90, 1 of 100, 1 of 150)",
        "warning: 2 of 3 sequences are the start of a longer one: the table seems to merge studies of different read "
        "lengths, so one organism counts as several ASVs; --trim-length 90 merges them",
    )
    trimmed = read_study(TableOptions(options.table, trim_length=90), phylogeny=write_tree(tmp_path, (features[0], D)))
    assert texts(trimmed) == [whole[:90]]
    assert trimmed.sequences.merged_ids == {0: tuple(sorted(features))}
    np.testing.assert_array_equal(dense(trimmed.table), np.sum(COUNTS, axis=0)[:, None])
    assert trimmed.phylogeny is not None
    assert trimmed.phylogeny.feature_tip.tolist() == [0]  # the tip has one of its ids, not the first


def test_many_lengths_are_not_listed(tmp_path: Path) -> None:
    features = [letter * (40 + i) for i, letter in enumerate("ACGTRY")]
    study = read_study(write_table(tmp_path, features, np.ones((6, 3))))
    assert study.notes[0] == "sequences are 40 to 45 bases long"


def test_sequences_of_ten_thousand_bases(tmp_path: Path) -> None:
    long = "ACGTTGCAAC" * 1_000
    study = read_study(write_table(tmp_path, (long, long[:-1] + "T", A)))
    assert texts(study) == sorted((long, long[:-1] + "T", A))
    assert study.sequences.codes.shape == (3, 10_000)


def md5(sequence: str) -> str:
    return hashlib.md5(sequence.encode()).hexdigest()


def test_tips_of_ambiguous_sequences(tmp_path: Path) -> None:
    """IUPAC codes share one token, but tips are matched by the letters: by id, by sequence, by MD5."""
    ambiguous = (A.replace("ACG", "ARG", 1), A.replace("ACG", "AYG", 1), "N" + C[1:])
    table = write_table(tmp_path, [name.lower() for name in ambiguous])
    for names in (ambiguous, [md5(name) for name in ambiguous]):
        study = read_study(table, phylogeny=write_tree(tmp_path, [*names, D]))
        assert study.phylogeny is not None
        assert texts(study) == sorted(ambiguous)
        tips = list(read_newick(tmp_path / "tree.nwk").tip_names)
        expected = [tips.index(names[ambiguous.index(text)]) for text in texts(study)]
        np.testing.assert_array_equal(np.argsort(study.phylogeny.feature_tip), np.argsort(expected))
        assert "all ASVs are in the tree" in study.notes
    other = read_study(table, phylogeny=write_tree(tmp_path, [*ambiguous[1:], D], missing_tips="ignore"))
    assert other.phylogeny is not None
    assert [text for text, tip in zip(texts(other), other.phylogeny.feature_tip, strict=True) if tip < 0] == [
        ambiguous[0]
    ]


def test_tips_of_merged_features(tmp_path: Path) -> None:
    """Features become one by their sequence; the tip may be named by any of their ids."""
    names = ("otu3", "otu1", "otu2")
    table = write_table(tmp_path, names)
    (tmp_path / "s.fasta").write_text(f">otu1\n{A}\n>otu2\n{A}\n>otu3\n{B}\n")
    study = read_study(
        TableOptions(table.table, tmp_path / "s.fasta"), phylogeny=write_tree(tmp_path, ("otu3", "otu2"))
    )
    assert study.table.feature_ids.tolist() == ["otu1", "otu3"]
    assert study.sequences.merged_ids == {0: ("otu1", "otu2")}
    assert study.phylogeny is not None
    assert (study.phylogeny.feature_tip >= 0).all()


def test_what_is_empty_is_dropped(tmp_path: Path) -> None:
    counts = [[5, 0, 0, 1], [0, 0, 0, 0], [7, 0, 0, 2]]
    options = write_table(tmp_path, (A, B, C), counts, ["s1", "s2", "s3", "s4"])
    study = read_study(options, write_metadata(tmp_path, ["s4", "s1"]))
    assert study.table.sample_ids.tolist() == ["s1", "s4"]
    assert study.dropped_samples == ("s2", "s3")
    assert texts(study) == [A, C]
    assert study.notes == (
        "1 of 3 features have no reads and were dropped",
        "2 of 4 samples have no reads and were dropped (s2, s3)",
    )
    with pytest.raises(DataError, match=r"table.biom: no sample has reads"):
        read_study(write_table(tmp_path, counts=np.zeros((3, 3))))
    (tmp_path / "s.fasta").write_text(f">otu1\n{A}\n")
    table = write_table(tmp_path, ("otu1", "otu2", "otu3"), [[0, 0, 0], [1, 2, 3], [4, 5, 6]])
    with pytest.raises(DataError, match=r"table.biom: no feature with reads and a sequence"):
        read_study(TableOptions(table.table, tmp_path / "s.fasta", missing_features="drop"))


def test_fractions(tmp_path: Path) -> None:
    options = write_table(tmp_path, counts=np.array(COUNTS) / 7)
    with pytest.raises(DataError, match=r"4 of 5 counts are fractions, not reads \(\(s1, GCGT"):
        read_study(options)
    study = read_study(replace(options, relative_abundance=True))
    assert not study.table.is_integer
    assert study.notes == ("the table contains fractions, not reads, so it cannot be rarefied",)


def hashed(folder: Path, fasta: Sequence[str], **options: object) -> TableOptions:
    names = [md5(sequence) for sequence in (C, A, B)]
    table = write_table(folder, names)
    path = folder / "rep-seqs.fasta"
    path.write_text("".join(f">{md5(s)}\n{s}\n" for s in fasta))
    return TableOptions(table.table, path, **options)  # type: ignore[arg-type]


def test_hashed_ids(tmp_path: Path) -> None:
    study = read_study(hashed(tmp_path, (A, B, C, D)))
    assert texts(study) == [A, B, C]
    np.testing.assert_array_equal(dense(study.table), [[0, 7, 5], [4, 0, 0], [2, 0, 1]])
    assert study.table.feature_ids[0] == md5(A)
    assert [Path(item.path).name for item in study.inputs] == ["table.biom", "rep-seqs.fasta"]


def test_missing_features(tmp_path: Path) -> None:
    message = (
        r"rep-seqs.fasta: 1 of 3 features have no sequence; they hold 6 reads \(31.58%\) .*--missing-features drop"
    )
    with pytest.raises(DataError, match=message):
        read_study(hashed(tmp_path, (B, C)))
    with pytest.raises(DataError, match=r"rep-seqs.fasta: contains none of the table's features"):
        read_study(hashed(tmp_path, (D,), missing_features="drop"))
    study = read_study(hashed(tmp_path, (B, C), missing_features="drop"))
    assert texts(study) == [B, C]
    assert study.dropped_samples == ("s2",)
    assert study.notes == (
        "1 of 3 features have no sequence and were dropped with 6 reads (31.58%), a median of 66.67% of a sample, "
        "100.00% at most (s2)",
        "1 of 3 samples have no reads and were dropped (s2)",
    )


def test_sequences_too_long_to_hold(tmp_path: Path) -> None:
    features = ["ACGT" * 10_000, A, B]
    table = write_table(tmp_path, features)
    with pytest.raises(DataError, match=r"3 sequences of up to 40,000 bases.*--trim-length"):
        read_study(TableOptions(table.table, max_input_gb=0.0001))
    assert texts(read_study(TableOptions(table.table, max_input_gb=0.0001, trim_length=30))) == [A[:30], B[:30]]


def test_ambiguous_bases_are_counted(tmp_path: Path) -> None:
    study = read_study(write_table(tmp_path, (C, A, "N" + B[1:])))
    assert study.notes == ("1 of 3 sequences contain ambiguous bases, which are read but never masked or predicted",)


def test_metadata_is_aligned(tmp_path: Path) -> None:
    study = read_study(write_table(tmp_path), write_metadata(tmp_path, ["s3", "s9", "s1", "s2"]))
    assert study.metadata is not None
    assert study.metadata.sample_ids.tolist() == SAMPLES
    np.testing.assert_array_equal(study.metadata.numeric("ph"), [2, 3, 0])
    assert study.notes == ("1 of 4 samples of metadata.tsv are not in the table (s9)",)


def test_missing_samples(tmp_path: Path) -> None:
    message = r"1 of 3 samples of the table are not in metadata.tsv \(s2\).*--missing-samples ignore"
    with pytest.raises(DataError, match=message):
        read_study(write_table(tmp_path), write_metadata(tmp_path, ["s3", "s1"]))
    study = read_study(write_table(tmp_path), write_metadata(tmp_path, ["s3", "s1"], missing_samples="ignore"))
    assert study.metadata is not None
    np.testing.assert_array_equal(study.metadata.numeric("ph"), [1, np.nan, 0])
    assert study.notes == ("1 of 3 samples of the table are not in metadata.tsv (s2)",)


@pytest.mark.parametrize(
    ("samples", "names", "hint"),
    [
        (["s1 ", " s2", "s3 "], ["s1", "s2", "s3"], "3 of 3 ids would match if blanks around"),
        (["s1", "s2", "s3"], ["2538.s1", "2538.s2", "x"], "2 of 3 ids would match if Qiita's study prefix"),
        (["1.s1", "1.s2", "1.s3"], ["s1", "s2"], "2 of 3 ids would match if Qiita's study prefix"),
        (["S1", "S2", "S3"], ["s1", "s2", "s3"], "3 of 3 ids would match if upper and lower case"),
        (["a", "b", "c"], ["s1", "s2"], "Pass files of one study"),
    ],
)
def test_no_overlap(tmp_path: Path, samples: list[str], names: list[str], hint: str) -> None:
    table = write_table(tmp_path, samples=samples)
    shown = rf"the table has {samples[0]}, {samples[1]}, {samples[2]}; this file has {', '.join(names)}"
    for policy in ("error", "ignore"):
        with pytest.raises(DataError, match=rf"contains none of the table's samples; {shown}.*{hint}"):
            read_study(table, write_metadata(tmp_path, names, missing_samples=policy))


def test_transposed_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"seems transposed: its sample ids are DNA.*feature-table transpose"):
        read_study(write_table(tmp_path, SAMPLES, samples=(A, B, C)))
    with pytest.raises(DataError, match="seems transposed: this file's samples are its features"):
        read_study(write_table(tmp_path, SAMPLES, samples=("otu1", "otu2", "otu3")), write_metadata(tmp_path))


def test_tree(tmp_path: Path) -> None:
    study = read_study(write_table(tmp_path), phylogeny=write_tree(tmp_path, (C, D, B, A)))
    assert study.phylogeny is not None
    assert (study.phylogeny.feature_tip >= 0).all()
    assert study.notes == ("all ASVs are in the tree",)


def test_missing_tips(tmp_path: Path) -> None:
    counts = [[5, 0, 1], [0, 4, 2], [700, 0, 0]]
    table = write_table(tmp_path, (C, A, B), counts)
    study = read_study(table, phylogeny=write_tree(tmp_path, (B, C, D)))
    assert study.phylogeny is not None
    assert (study.phylogeny.feature_tip < 0).tolist() == [True, False, False]
    assert study.notes == (
        "1 of 3 ASVs, with 0.84% of all reads, are not in the tree: distances ignore them",
        "1 of 3 samples have no ASV in the tree and no distances (s2)",
    )
    with pytest.raises(
        DataError, match=r"not a subset of the tree tips: 1 of 3 ASVs, with 98.31% of all.*--missing-tips ignore"
    ):
        read_study(table, phylogeny=write_tree(tmp_path, (A, C, D)))
    ignored = read_study(table, phylogeny=write_tree(tmp_path, (A, C, D), missing_tips="ignore"))
    assert "98.31%" in ignored.notes[0]
    with pytest.raises(DataError, match="no ASV of the table is a tip"):
        read_study(table, phylogeny=write_tree(tmp_path, (D, D + "A"), missing_tips="ignore"))


def test_unrooted_tree_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "tree.nwk").write_text(f"({A}:1,{B}:1,{C}:1);")
    study = read_study(write_table(tmp_path), phylogeny=PhylogenyOptions(tmp_path / "tree.nwk"))
    assert "the root of tree.nwk has 3 children" in study.notes[0]


def write_matrix(folder: Path, names: Sequence[str], values: np.ndarray) -> PhylogenyOptions:
    lines = ["\t".join(["", *names])]
    lines += ["\t".join([name, *map(str, row)]) for name, row in zip(names, values.tolist(), strict=True)]
    (folder / "m.tsv").write_text("\n".join(lines))
    return PhylogenyOptions(unifrac_matrix=folder / "m.tsv")


MATRIX = np.array([[0, 0.1, 0.2, 0.3], [0.1, 0, 0.4, 0.5], [0.2, 0.4, 0, 0.6], [0.3, 0.5, 0.6, 0]])


def test_matrix_is_aligned(tmp_path: Path) -> None:
    options = write_matrix(tmp_path, ["s3", "s9", "s1", "s2"], MATRIX)
    study = read_study(write_table(tmp_path), phylogeny=options)
    assert study.distances is not None
    assert study.distances.ids.tolist() == SAMPLES
    np.testing.assert_array_equal(study.distances.values, [[0, 0.6, 0.2], [0.6, 0, 0.3], [0.2, 0.3, 0]])
    assert study.notes == ("1 of 4 samples of m.tsv are not in the table (s9)",)


def test_samples_that_the_matrix_lacks(tmp_path: Path) -> None:
    options = write_matrix(tmp_path, ["s3", "s1"], MATRIX[:2, :2])
    with pytest.raises(DataError, match=r"1 of 3 samples of the table are not in m.tsv \(s2\)"):
        read_study(write_table(tmp_path), phylogeny=options)
    study = read_study(write_table(tmp_path), MetadataOptions(missing_samples="ignore"), options)
    assert study.distances is not None
    nan = np.nan
    np.testing.assert_array_equal(study.distances.values, [[0, nan, 0.1], [nan, nan, nan], [0.1, nan, 0]])
    with pytest.raises(DataError, match="contains none of the table's samples"):
        read_study(write_table(tmp_path), phylogeny=write_matrix(tmp_path, ["x", "y"], MATRIX[:2, :2]))


def test_distances_above_one(tmp_path: Path) -> None:
    options = write_matrix(tmp_path, SAMPLES, 3 * MATRIX[:3, :3])
    with pytest.raises(
        DataError, match=r"2 of 9 distances are above 1, up to 1.2; unweighted UniFrac is at most 1.*ssu -m"
    ):
        read_study(write_table(tmp_path), phylogeny=options)


def test_ibd(shared_data: Path) -> None:
    ibd = shared_data / "ibd"
    study = read_study(
        TableOptions(ibd / "table.qza"),
        MetadataOptions(ibd / "metadata.tsv"),
        PhylogenyOptions(ibd / "insertion-tree.qza"),
    )
    table = study.table
    assert (table.n_samples, table.n_features, len(table.data.counts)) == (470, 10_099, 82_724)
    reference = biom.load_table(str(ibd / "table.biom"))
    assert table.sample_ids.tolist() == reference.ids().tolist()
    assert table.feature_ids.tolist() == texts(study) == sorted(reference.ids(axis="observation"))
    expected = reference.sort_order(table.feature_ids, axis="observation").matrix_data.toarray().T
    np.testing.assert_array_equal(dense(table), expected)

    assert study.phylogeny is not None
    absent = study.phylogeny.feature_tip < 0
    tips = set(read_newick(ibd / "insertion-tree.qza").tip_names)
    np.testing.assert_array_equal(absent, [name not in tips for name in table.feature_ids])
    assert absent.sum() == 129
    share = expected[:, absent].sum() / expected.sum()
    assert f"129 of 10,099 ASVs, with {share:.2%} of all reads, are not in the tree" in study.notes[1]

    assert study.metadata is not None
    values, counts = np.unique(study.metadata.text("ibd").astype(str), return_counts=True)
    assert dict(zip(values, counts, strict=True)) == {"Crohns": 193, "Control": 277}
    assert len(set(study.metadata.text("host_subject_id"))) == 24
    assert study.notes[0].startswith("176 of 646 samples of metadata.tsv are not in the table (2538.1000101, ")
    assert [item.type for item in study.inputs] == ["FeatureTable[Frequency]", None, "Phylogeny[Rooted]"]


def test_tadpole(shared_data: Path) -> None:
    tadpole = shared_data / "tadpole"
    table = TableOptions(tadpole / "rarefied_table.qza", tadpole / "rep-seqs.qza")
    metadata = MetadataOptions(tadpole / "metadata.txt")
    tree = PhylogenyOptions(tadpole / "rooted-tree.qza")
    matrix = PhylogenyOptions(unifrac_matrix=tadpole / "unweighted_unifrac_distance_matrix.qza")
    whole = TableOptions(tadpole / "table.qza", tadpole / "rep-seqs.qza")
    with pytest.raises(DataError, match=r"1,408 of 4,729 ASVs, .*--missing-tips ignore"):
        read_study(whole, metadata, tree)
    with pytest.raises(DataError, match=r"1 of 18 samples of the table are not in .* \(juv04\)"):
        read_study(whole, metadata, matrix)
    study = read_study(table, metadata, matrix)
    assert (study.table.n_samples, study.table.n_features) == (17, 3_292)
    assert texts(study) == sorted(texts(study))
    assert study.distances is not None
    assert study.distances.ids.tolist() == study.table.sample_ids.tolist()
    assert study.metadata is not None
    assert study.metadata.text("site")[0] is not None
