"""FASTA: the same sequences as scikit-bio, encodings found in practice, and files that are rejected."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import skbio

from aam_data.errors import DataError
from aam_data.readers.fasta import read_sequences
from aam_data.readers.qiime2 import open_artifact


@pytest.mark.parametrize(
    "content",
    [
        b">a first one\nACGT\nacgt\n>b\nNNRY\n",
        b"\n\n>a\r\nACGT\r\nACGT\r\n\r\n>b\r\nNNRY",
        b"\xef\xbb\xbf> a x\nAC GT ACGT\n\n>b\tfoo\nNN\nRY\n\n",
        b">a\rACGTACGT\r>b\rNNRY\r",
    ],
    ids=["wrapped", "crlf", "blanks", "cr"],
)
def test_the_same_sequences_in_other_bytes(tmp_path: Path, content: bytes) -> None:
    for name, stored in (("s.fasta", content), ("s.fna.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(stored)
        assert read_sequences(tmp_path / name) == {"a": b"ACGTACGT", "b": b"NNRY"}


def test_gaps_and_u_stay(tmp_path: Path) -> None:
    (tmp_path / "s.fa").write_bytes(b">a\n--acgu.\n")
    assert read_sequences(tmp_path / "s.fa") == {"a": b"--ACGU."}


def test_artifacts(tmp_path: Path, write_artifact: Callable[..., Path]) -> None:
    plain = write_artifact(tmp_path / "s.qza", "FeatureData[Sequence]", "dna-sequences.fasta", b">a\nACGT\n")
    assert read_sequences(plain) == {"a": b"ACGT"}
    name = "aligned-dna-sequences.fasta"
    aligned = write_artifact(tmp_path / "a.qza", "FeatureData[AlignedSequence]", name, b">a\nAC-GT\n")
    assert read_sequences(aligned) == {"a": b"AC-GT"}


def test_long_sequences(tmp_path: Path) -> None:
    letters = b"ACGTTGCAAC" * 1_000
    wrapped = b"\n".join(letters[i : i + 80] for i in range(0, len(letters), 80))
    (tmp_path / "s.fa").write_bytes(b">a\n" + wrapped + b"\n>b\n" + letters)
    assert read_sequences(tmp_path / "s.fa") == {"a": letters, "b": letters}


def test_every_ambiguity_code(tmp_path: Path) -> None:
    """The alphabet of q2-types' DNAFASTAFormat (that of scikit-bio's DNA), and U."""
    letters = "".join(sorted(skbio.DNA.alphabet - skbio.DNA.gap_chars)) + "U"
    (tmp_path / "s.fa").write_text(f">a\n{letters}\n>b\n{letters.lower()}\n")
    assert read_sequences(tmp_path / "s.fa") == {"a": letters.encode(), "b": letters.encode()}


def test_files_that_cannot_be_read(tmp_path: Path, write_artifact: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"no.fa: cannot be read: No such file.*existing, readable file to --sequences"):
        read_sequences(tmp_path / "no.fa")
    with pytest.raises(DataError, match="is a directory"):
        read_sequences(tmp_path)
    (tmp_path / "cut.fa.gz").write_bytes(gzip.compress(b">a\nACGT\n")[:-9])
    with pytest.raises(DataError, match=r"damaged gzip file.*Copy the file again"):
        read_sequences(tmp_path / "cut.fa.gz")
    (tmp_path / "bomb.fa.gz").write_bytes(gzip.compress(b">a\n" + b"A" * 10**7))
    with pytest.raises(DataError, match=r"GB of content, the limit is 0.001 GB.*--max-input-gb"):
        read_sequences(tmp_path / "bomb.fa.gz", max_input_gb=0.001)
    taxonomy = write_artifact(tmp_path / "t.qza", "FeatureData[Taxonomy]", "taxonomy.tsv", b"Feature ID\tTaxon\na\tx\n")
    with pytest.raises(DataError, match=r"expected FeatureData\[Sequence\] or .*, got FeatureData\[Taxonomy\]"):
        read_sequences(taxonomy)


def test_real_sequences(tmp_path: Path, shared_data: Path) -> None:
    path = shared_data / "tadpole/rep-seqs.qza"
    sequences = read_sequences(path)
    assert len(sequences) == 4_729
    assert (min(map(len, sequences.values())), max(map(len, sequences.values()))) == (218, 336)
    (tmp_path / "s.fasta").write_bytes(open_artifact(path, ("FeatureData[Sequence]",), 10**8).payload)
    reference = skbio.io.read(str(tmp_path / "s.fasta"), format="fasta")
    assert sequences == {record.metadata["id"]: str(record).encode() for record in reference}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file is empty"),
        (b"\n \n", "expected FASTA"),
        (b"@a\nACGT\n+\nIIII\n", "found FASTQ"),
        (b"ACGT\n", "expected FASTA, found a file that starts with b'ACGT'"),
        (b">a\nACGT\n>a\nACGA\n", r"sequence ids that appear more than once \(a\)"),
        (b">\nACGT\n", "empty sequence ids"),
        (b">a\n>b\n---\n>c\nA\n", r"records without a base \(a, b\)"),
        (b">a\nACGT\n>b\nACXT*\n", r"letters that are not DNA \(b '\*X'\)"),
        (b">a\xe9\nACGT\n", r"not UTF-8 \(b'a\\xe9'\)"),
    ],
)
def test_broken_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "s.fasta").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_sequences(tmp_path / "s.fasta")
