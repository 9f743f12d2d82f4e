"""Sequences: codes, keys, and how those of features are found."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aam_data.alphabet import AMBIGUOUS, PAD
from aam_data.errors import DataError
from aam_data.readers.biom import read_table
from aam_data.readers.fasta import read_sequences
from aam_data.sequences import build_sequences, kind_of_ids, sequences_of_features

DNA = st.text("ACGT", min_size=1, max_size=60)
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
    assert sequences.text(1) == "NAC"
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
    for names, what in (([md5(s) for s in LONG], "MD5 hashes"), (["otu1", "otu2"], "names")):
        with pytest.raises(DataError, match=rf"table.qza: the feature ids are {what}, not sequences.*--sequences"):
            sequences_of_features(ids(*names), None, table_path="table.qza")


def test_by_name() -> None:
    fasta = {"otu2": b"GGCC", "otu1": b"A-C.U", "unused": b"T"}
    found = sequences_of_features(ids("otu1", "otu2", "otu3"), fasta)
    assert found.sequences == [b"ACT", b"GGCC", None]
    assert found.missing().tolist() == [False, False, True]
    assert found.notes == (
        "gaps (- and .) were removed from 1 of 2 sequences, which look aligned",
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


def test_sequence_ids_with_a_fasta_of_hashes() -> None:
    found = sequences_of_features(ids(*LONG), {md5(s): s.encode() for s in LONG})
    assert found.sequences == [s.encode() for s in LONG]


def test_hashes_that_do_not_fit() -> None:
    fasta = {md5(s): s.encode() for s in LONG[:2]} | {md5(LONG[2]): LONG[2][:-1].encode()}
    found = sequences_of_features(ids(*map(md5, LONG)), fasta, fasta_path="rep-seqs.fasta")
    assert found.sequences[2] == LONG[2][:-1].encode()
    assert found.notes == (
        "1 of 3 sequences in rep-seqs.fasta do not have the hash that is their id "
        f"({md5(LONG[2])}): they were cut, or belong to another table",
    )


def test_real_hashes(shared_data: Path) -> None:
    names = read_table(shared_data / "tadpole/table.qza").table.feature_ids
    assert kind_of_ids(names) == "md5"
    fasta = read_sequences(shared_data / "tadpole/rep-seqs.qza")
    found = sequences_of_features(names, fasta)
    assert found.notes == ()
    assert not found.missing().any()
    nameless = sequences_of_features(names, {str(i): s for i, s in enumerate(fasta.values())})
    assert nameless.sequences == found.sequences == [fasta[name] for name in names]
