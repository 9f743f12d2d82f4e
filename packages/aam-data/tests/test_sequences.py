"""Sequences: codes, keys, and the search for sequences of features."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aam_data.alphabet import AMBIGUOUS, PAD
from aam_data.errors import DataError
from aam_data.readers.biom.table import read_table
from aam_data.readers.fasta import read_sequences
from aam_data.sequences import build_sequences
from aam_data.study.feature_sequences import kind_of_ids, sequences_of_features

DNA = st.text("ACGTRYKMSWBDHVN", min_size=1, max_size=60)
LONG = ["ACGT" * 8, "ACGG" * 8, "TTTT" * 10]


def ids(*names: str) -> np.ndarray:
    return np.array(names, dtype=object)


def md5(sequence: str) -> str:
    return hashlib.md5(sequence.encode()).hexdigest()


@given(st.lists(DNA, min_size=1, max_size=20))
def test_text_survives_codes(texts: list[str]) -> None:
    sequences = build_sequences([text.encode() for text in texts])
    assert [sequences.text(i) for i in range(len(sequences))] == texts
    assert sequences.codes.shape == (len(texts), max(map(len, texts)))
    assert sequences.codes.dtype == np.uint8
    assert sequences.lengths.dtype == np.int32
    padding = np.arange(sequences.codes.shape[1]) >= sequences.lengths[:, None]
    np.testing.assert_array_equal(sequences.codes == PAD, padding)


def test_codes_and_keys_by_hand() -> None:
    sequences = build_sequences([b"ACGTN", b"RAC"])
    np.testing.assert_array_equal(sequences.codes, [[1, 2, 3, 4, AMBIGUOUS], [AMBIGUOUS, 1, 2, PAD, PAD]])
    np.testing.assert_array_equal(sequences.lengths, [5, 3])
    assert [sequences.text(i) for i in range(2)] == ["ACGTN", "RAC"]
    assert dict(sequences.ambiguous) == {0: b"ACGTN", 1: b"RAC"}
    assert sequences.keys.dtype == np.uint64
    digest = hashlib.blake2b(b"ACGTN", digest_size=8).digest()
    assert int(sequences.keys[0]) == int.from_bytes(digest, "little")
    assert len(set(build_sequences([b"RA", b"YA"]).keys)) == 2


def test_no_sequences() -> None:
    assert len(build_sequences([])) == 0


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (LONG, "sequence"),
        (["acgtn" * 6], "sequence"),
        (["ACGT" * 7], "opaque"),  # 28 bases could be a name
        ([md5("a"), md5("b")], "md5"),
        ([hashlib.sha1(b"a").hexdigest()], "sha1"),
        (["1234567", "k__Bacteria"], "opaque"),
        ([*LONG * 33, "chimera"], "sequence"),  # 99 of 100
        ([*LONG, "chimera"], "opaque"),
    ],
)
def test_kinds_of_ids(names: list[str], kind: str) -> None:
    assert kind_of_ids(names) == kind


def test_ids_that_are_sequences() -> None:
    found = sequences_of_features(ids(LONG[0].replace("T", "U"), LONG[1].lower()), None)
    assert found.sequences == [LONG[0].encode(), LONG[1].encode()]
    assert found.notes == ("U was read as T in 1 of 2 sequences",)
    assert not found.missing().any()


def test_names_need_a_fasta() -> None:
    sha1 = [hashlib.sha1(s.encode()).hexdigest() for s in LONG]
    opaque = ["1110988", "k__Bacteria; p__Firmicutes", "otu3", "otu4"]
    for names, what in (([md5(s) for s in LONG], "MD5 hashes"), (sha1, "SHA-1 hashes"), (opaque, "names")):
        message = rf"table.qza: the feature ids are {what}, not sequences \({', '.join(names)}\). .*--sequences"
        with pytest.raises(DataError, match=rf"{message}.*qiime tools export --input-path rep-seqs.qza"):
            sequences_of_features(ids(*names), None, table_path="table.qza")


def test_a_few_names_among_sequences() -> None:
    """Up to 1 % are features without a sequence; more need a file, and the names are shown, not the sequences."""
    found = sequences_of_features(ids(*[LONG[0] + "A" * i for i in range(99)], "otu1"), None)
    assert found.missing().sum() == 1
    with pytest.raises(DataError, match=r"1 of 4 feature ids are names, not sequences \(otu1\)"):
        sequences_of_features(ids(*LONG, "otu1"), None)
    assert sequences_of_features(ids(*LONG, "otu1"), {"otu1": b"GGG"}).sequences[3] == b"GGG"


def test_by_name() -> None:
    fasta = {"otu2": b"GGCC", "otu1": b"A-C.U", "unused": b"T"}
    found = sequences_of_features(ids("otu1", "otu2", "otu3"), fasta)
    assert found.sequences == [b"ACT", b"GGCC", None]
    assert found.missing().tolist() == [False, False, True]
    assert found.notes == (
        "gaps (- and .) were removed from 1 of 2 sequences, which seem aligned",
        "U was read as T in 1 of 2 sequences",
    )


@pytest.mark.parametrize("algorithm", ["md5", "sha1"])
def test_by_hash_whatever_the_fasta_calls_them(algorithm: str) -> None:
    names = [hashlib.new(algorithm, sequence.encode()).hexdigest() for sequence in LONG]
    by_id = sequences_of_features(ids(*names), {name: s.encode() for name, s in zip(names, LONG, strict=True)})
    by_sequence = sequences_of_features(ids(*names), {f"seq{i}": s.encode() for i, s in enumerate(LONG)})
    aligned = sequences_of_features(ids(*names), {f"seq{i}": b"-" + s.encode() for i, s in enumerate(LONG)})
    assert by_id.sequences == by_sequence.sequences == aligned.sequences == [s.encode() for s in LONG]
    assert by_id.notes == by_sequence.notes == ()
    assert aligned.notes == ("gaps (- and .) were removed from 3 of 3 sequences, which seem aligned",)


def test_sequence_ids_with_a_fasta_of_hashes() -> None:
    found = sequences_of_features(ids(*LONG), {md5(s): s.encode() for s in LONG}, fasta_path="rep-seqs.fasta")
    assert found.sequences == [s.encode() for s in LONG]
    assert found.notes == ("the feature ids are sequences, so rep-seqs.fasta was not needed",)


def test_hashes_that_do_not_fit() -> None:
    fasta = {md5(s): s.encode() for s in LONG[:2]} | {md5(LONG[2]): LONG[2][:-1].encode()}
    found = sequences_of_features(ids(*map(md5, LONG)), fasta, fasta_path="rep-seqs.fasta")
    assert found.sequences[2] == LONG[2][:-1].encode()
    assert found.notes == (
        "warning: 1 of 3 sequences in rep-seqs.fasta contradict their ids "
        f"({md5(LONG[2])}): they were cut, or belong to another table",
    )
    cut = sequences_of_features(ids(*LONG), {s: s[:-1].encode() for s in LONG[:2]}, fasta_path="x.fna")
    assert cut.sequences == [s.encode() for s in LONG]
    assert cut.notes[1].startswith(f"warning: 2 of 2 sequences in x.fna contradict their ids ({LONG[0]}, ")


def test_hashes_of_ambiguous_and_rna_sequences() -> None:
    """Ids are hashes of the upper-case DNA, with IUPAC codes, and T instead of U."""
    letters = [LONG[0].replace("G", "R", 1), LONG[0].replace("C", "Y", 1)]
    fasta = {md5(letters[0]): letters[0].encode(), "x": letters[1].replace("T", "U").encode()}
    found = sequences_of_features(ids(*map(md5, letters)), fasta)
    assert found.sequences == [s.encode() for s in letters]
    assert found.notes == ("U was read as T in 1 of 2 sequences",)


def test_md5_and_sha1_in_one_table() -> None:
    names = ids(md5(LONG[0]), hashlib.sha1(LONG[1].encode()).hexdigest(), LONG[2])
    found = sequences_of_features(names, {f"s{i}": s.encode() for i, s in enumerate(LONG)})
    assert found.sequences == [s.encode() for s in LONG]


def test_no_feature_in_the_fasta() -> None:
    message = (
        r"rep.fna: contains none of the table's features; the table has OTU_1, OTU_2; this file has "
        r"otu.1;size=9, otu.2. 1 of 2 ids would match if .*as in 'OTU_2' and 'otu.2'"
    )
    with pytest.raises(DataError, match=message):
        sequences_of_features(ids("OTU_1", "OTU_2"), {"otu.1;size=9": b"A", "otu.2": b"C"}, fasta_path="rep.fna")


def test_what_would_find_the_rest_is_suggested() -> None:
    found = sequences_of_features(ids("otu1", "OTU2", "otu3"), {"otu1": b"A", "otu2": b"C"})
    assert found.missing().tolist() == [False, True, True]
    assert "1 of 2 ids would match if upper and lower case were the same" in str(found.suggestion)


def test_real_hashes(shared_data: Path) -> None:
    names = read_table(shared_data / "tadpole/table.qza").table.feature_ids
    assert kind_of_ids(names) == "md5"
    fasta = read_sequences(shared_data / "tadpole/rep-seqs.qza")
    found = sequences_of_features(names, fasta)
    assert found.notes == ()
    assert not found.missing().any()
    nameless = sequences_of_features(names, {str(i): s for i, s in enumerate(fasta.values())})
    assert nameless.sequences == found.sequences == [fasta[name] for name in names]
