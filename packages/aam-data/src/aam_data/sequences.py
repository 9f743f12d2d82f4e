"""The sequences of features: found by id or by hash, brought to one alphabet, held as codes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np

from aam_data.alphabet import PAD, decode, encode
from aam_data.errors import DataError, first_few

IdKind = Literal["sequence", "md5", "sha1", "opaque"]

_PATTERNS: dict[IdKind, re.Pattern[str]] = {
    "sequence": re.compile(r"(?i)[ACGTURYKMSWBDHVN]{30,}"),
    "md5": re.compile(r"[0-9a-f]{32}"),
    "sha1": re.compile(r"[0-9a-f]{40}"),
}
_HASHES: tuple[IdKind, ...] = ("md5", "sha1")
_MOST = 0.99  # share of ids that must look alike
_GAPS = b"-."
_U_TO_T = bytes.maketrans(b"U", b"T")


@dataclass(frozen=True, eq=False)
class Sequences:
    """DNA sequences of A features.

    Attributes:
        codes: uint8 [A, L] bases (see ``alphabet``), padded with PAD at the end; no START.
        lengths: int32 [A] bases.
        keys: uint64 [A] BLAKE2b of the upper-case letters: the same sequence has the same key in every table.
    """

    codes: np.ndarray
    lengths: np.ndarray
    keys: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def text(self, feature: int) -> str:
        """Letters of one sequence; every ambiguity code becomes ``N``."""
        return decode(self.codes[feature, : self.lengths[feature]])


def build_sequences(sequences: Sequence[bytes]) -> Sequences:
    """Sequences from upper-case letters. Raises ValueError for letters that are not IUPAC DNA."""
    lengths = np.fromiter(map(len, sequences), np.int32, len(sequences))
    longest = int(lengths.max(initial=0))
    codes = np.full((len(sequences), longest), PAD, dtype=np.uint8)
    codes[np.arange(longest) < lengths[:, None]] = encode(b"".join(sequences))
    digests = b"".join(blake2b(sequence, digest_size=8).digest() for sequence in sequences)
    return Sequences(codes, lengths, np.frombuffer(digests, dtype="<u8").astype(np.uint64))


def kind_of_ids(ids: Sequence[str] | np.ndarray) -> IdKind:
    """What at least 99 % of the ids look like: DNA of 30 or more bases, an MD5 or SHA-1 hash, or anything."""
    for kind, pattern in _PATTERNS.items():
        if sum(pattern.fullmatch(name) is not None for name in ids) >= _MOST * len(ids):
            return kind
    return "opaque"


@dataclass(frozen=True, eq=False)
class FeatureSequences:
    """What was found for A features.

    Attributes:
        sequences: upper-case DNA of each feature, None where there is none.
        notes: sentences about what was changed, and about hashes that do not fit.
    """

    sequences: list[bytes | None]
    notes: tuple[str, ...]

    def missing(self) -> np.ndarray:
        """bool [A]: features without a sequence."""
        return np.array([sequence is None for sequence in self.sequences], dtype=bool)


def sequences_of_features(
    feature_ids: np.ndarray,
    fasta: Mapping[str, bytes] | None,
    *,
    table_path: Path | str | None = None,
    fasta_path: Path | str | None = None,
) -> FeatureSequences:
    """Find the sequence of every feature.

    An id that is a sequence is its own sequence. Others are looked up in ``fasta`` by id, and if they are hashes,
    by the MD5 or SHA-1 of its sequences too. Hashes of all sequences found by id are verified.

    Args:
        feature_ids: [A] ids of the table.
        fasta: sequences by id, as ``read_sequences`` gives them; more than the table has are welcome.
        table_path, fasta_path: name the files in messages.

    Raises:
        DataError: the ids are not sequences and there is no ``fasta``.
    """
    kind = kind_of_ids(feature_ids)
    if kind != "sequence" and fasta is None:
        looks = {"md5": "MD5 hashes", "sha1": "SHA-1 hashes", "opaque": "names"}[kind]
        raise DataError(
            f"the feature ids are {looks}, not sequences",
            file=table_path,
            offenders=list(feature_ids[:3]),
            remedy="Give their sequences with --sequences rep-seqs.qza (or .fasta; "
            "qiime tools export --input-path rep-seqs.qza writes one)",
        )
    fasta = fasta or {}
    raw: dict[int, bytes] = {}
    by_id = []
    for i, name in enumerate(feature_ids):
        if _PATTERNS["sequence"].fullmatch(name):
            raw[i] = name.upper().encode()
        elif name in fasta:
            raw[i] = fasta[name]
            by_id.append(i)
    raw |= _by_hash({i: name for i, name in enumerate(feature_ids) if i not in raw}, fasta)
    sequences = [_normalise(raw[i]) if i in raw else None for i in range(len(feature_ids))]
    notes = _notes_of_changes(raw.values())
    wrong = [feature_ids[i] for i in by_id if _is_other_hash(feature_ids[i], _normalise(raw[i]))]
    if wrong:
        notes.append(
            f"{len(wrong):,} of {len(by_id):,} sequences in {fasta_path} do not have the hash that is their id "
            f"({first_few(wrong)}): they were cut, or belong to another table"
        )
    return FeatureSequences(sequences, tuple(notes))


def _by_hash(wanted: Mapping[int, str], fasta: Mapping[str, bytes]) -> dict[int, bytes]:
    """Sequences of ``fasta``, whatever they are called there, by the features whose ids are their hashes."""
    found: dict[int, bytes] = {}
    for algorithm in _HASHES:
        hashes = {i: name for i, name in wanted.items() if _PATTERNS[algorithm].fullmatch(name)}
        if hashes:
            sequence_of = {_digest(algorithm, _normalise(sequence)): sequence for sequence in fasta.values()}
            found |= {i: sequence_of[name] for i, name in hashes.items() if name in sequence_of}
    return found


def _is_other_hash(feature_id: str, sequence: bytes) -> bool:
    """Whether the id is a hash, but not of this sequence."""
    return any(
        _PATTERNS[algorithm].fullmatch(feature_id) and _digest(algorithm, sequence) != feature_id
        for algorithm in _HASHES
    )


def _digest(algorithm: str, sequence: bytes) -> str:
    return hashlib.new(algorithm, sequence, usedforsecurity=False).hexdigest()


def _normalise(sequence: bytes) -> bytes:
    return sequence.translate(_U_TO_T, _GAPS)


def _notes_of_changes(raw: Iterable[bytes]) -> list[str]:
    total = gapped = rna = 0
    for sequence in raw:
        total += 1
        gapped += b"-" in sequence or b"." in sequence
        rna += b"U" in sequence
    notes = []
    if gapped:
        notes.append(f"gaps (- and .) were removed from {gapped:,} of {total:,} sequences, which look aligned")
    if rna:
        notes.append(f"U was read as T in {rna:,} of {total:,} sequences")
    return notes
