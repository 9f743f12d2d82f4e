"""Sequences of features: FASTA, gzip of it, or a FeatureData[Sequence] artifact."""

from __future__ import annotations

from pathlib import Path

from aam_data.alphabet import AMBIGUITY_CODES, BASES
from aam_data.errors import DataError
from aam_data.readers.ids import check_ids, decode_ids
from aam_data.readers.qiime2 import read_content
from aam_data.readers.source import byte_limit

GAPS = b"-."
_LETTERS = (BASES + AMBIGUITY_CODES + "U").encode() + GAPS
_TYPES = ("FeatureData[Sequence]", "FeatureData[AlignedSequence]")


def read_sequences(path: Path, max_input_gb: float = 8.0) -> dict[str, bytes]:
    """Read sequences by id, in upper case and otherwise as written (``U`` and gaps stay).

    The id is the first word after ``>``; a sequence may span several lines.

    Args:
        path: FASTA, plain or gzip, or a FeatureData[Sequence] artifact.
        max_input_gb: maximum size of the content.

    Returns:
        Sequences in the order of the file.

    Raises:
        DataError: not FASTA, records without id or bases, an id that appears twice, letters that are not IUPAC.

    Example:
        >>> read_sequences(Path("rep-seqs.fasta"))["ASV1"]
        b'ACGT'
    """
    content = read_content(path, "--sequences", _TYPES, byte_limit(max_input_gb)).removeprefix(b"\xef\xbb\xbf").strip()
    if not content.startswith(b">"):
        actual = "FASTQ" if content.startswith(b"@") else f"a file that starts with {content[:20]!r}"
        raise DataError(
            f"expected FASTA, found {actual}",
            code="sequences-format-unknown",
            file=path,
            remedy="Pass a FASTA file or rep-seqs.qza to --sequences",
        )
    names, sequences = [], []
    for record in content[1:].replace(b"\r", b"\n").split(b"\n>"):
        header, _, lines = record.partition(b"\n")
        names.append(header.split()[0] if header.split() else b"")
        sequences.append(b"".join(lines.split()).upper())
    ids = decode_ids(names, path, "headers")
    check_ids(ids, "sequence", path, "headers")
    empty = [i for i, sequence in enumerate(sequences) if not sequence.strip(GAPS)]
    strange = [i for i, sequence in enumerate(sequences) if sequence.translate(None, _LETTERS)]
    for code, problem, wrong in (
        ("sequences-empty", "records without a base", empty),
        ("sequences-not-dna", "letters that are not DNA", strange),
    ):
        if wrong:
            named = [f"{ids[i]} {_strange_letters(sequences[i])}".rstrip() for i in wrong]
            raise DataError(problem, code=code, file=path, offenders=named)
    return dict(zip(ids, sequences, strict=True))


def _strange_letters(sequence: bytes) -> str:
    letters = sequence.translate(None, _LETTERS)
    return ascii(bytes(sorted(set(letters))))[1:] if letters else ""
