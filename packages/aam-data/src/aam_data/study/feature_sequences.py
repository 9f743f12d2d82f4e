"""Sequences of a table's features: the ids themselves, or found by id or hash in a file of sequences."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from aam_data.errors import DataError, first_few
from aam_data.id_matching import Suggestion, check_not_disjoint, closest_transformation
from aam_data.notes import Note
from aam_data.readers.foreign.tables import profile_error

Algorithm = Literal["md5", "sha1"]
IdKind = Literal["sequence", "md5", "sha1", "opaque"]

# QIIME 2 (DADA2, Deblur) and vsearch hash the upper-case sequence; nothing here protects anything: hashes are names
PATTERNS: dict[Algorithm, re.Pattern[str]] = {
    "md5": re.compile(r"[0-9a-f]{32}"),
    "sha1": re.compile(r"[0-9a-f]{40}"),
}
_GAPS = b"-."
_U_TO_T = bytes.maketrans(b"U", b"T")
_SEQUENCE = re.compile("[ACGTURYKMSWBDHVNacgturykmswbdhvn]{30,}")  # ignoring case in the pattern takes 8 x as long
_LOOKS = {"md5": "MD5 hashes", "sha1": "SHA-1 hashes", "opaque": "names"}
_MIN_SHARE = 0.99  # of ids that must look alike
_EXPORT = "qiime tools export --input-path rep-seqs.qza"


def kind_of_ids(ids: Sequence[str] | np.ndarray) -> IdKind:
    """Classify ids by what at least 99 % of them look like: DNA of 30 or more bases, MD5 or SHA-1 hashes, or names."""
    kinds: list[tuple[IdKind, re.Pattern[str]]] = [("sequence", _SEQUENCE), *PATTERNS.items()]
    for kind, pattern in kinds:
        if sum(pattern.fullmatch(name) is not None for name in ids) >= _MIN_SHARE * len(ids):
            return kind
    return "opaque"


@dataclass(frozen=True, eq=False)
class FeatureSequences:
    """Sequences found for A features.

    Attributes:
        sequences: upper-case DNA of each feature, None if it was not found.
        notes: sentences about what was changed, and about hashes that do not fit.
        suggestion: a change that would make the other ids match.
    """

    sequences: list[bytes | None]
    notes: tuple[Note, ...]
    suggestion: Suggestion | None = None

    def missing(self) -> np.ndarray:
        """Return which features have no sequence, bool [A]."""
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
    by the MD5 or SHA-1 of its sequences, whatever their names. Ids that are hashes or sequences are verified.

    Args:
        feature_ids: [A] ids of the table.
        fasta: sequences by id, as ``read_sequences`` returns them; it may have more than the table.
        table_path, fasta_path: files for messages.

    Raises:
        DataError: the ids are not sequences and there is no ``fasta``, or it has none of them.
    """
    is_sequence = np.array([_SEQUENCE.fullmatch(name) is not None for name in feature_ids], dtype=bool)
    if fasta is None and is_sequence.sum() < _MIN_SHARE * len(feature_ids):
        raise _unknown(feature_ids, is_sequence, table_path)
    fasta = fasta or {}
    raw = {i: feature_ids[i].upper().encode() for i in np.flatnonzero(is_sequence).tolist()}
    named = {i: feature_ids[i] for i in np.flatnonzero(~is_sequence).tolist()}
    raw |= {i: fasta[name] for i, name in named.items() if name in fasta}
    nameless = {i: name for i, name in named.items() if i not in raw}
    raw |= sequences_by_hash(nameless, fasta.values())
    lost = [name for i, name in nameless.items() if i not in raw]
    if fasta and len(lost) == len(feature_ids):
        if error := profile_error(feature_ids, table_path):
            raise error
        check_not_disjoint(lost, fasta, fasta_path, "features")
    sequences = [normalise(raw[i]) if i in raw else None for i in range(len(feature_ids))]
    notes = _notes_of_changes(raw.values())
    if fasta and not named:
        notes.append(Note("sequences-not-needed", f"the feature ids are sequences, so {fasta_path} was not needed"))
    wrong = [str(name) for name in feature_ids if name in fasta and _contradicts(name, normalise(fasta[name]))]
    if wrong:
        what = (
            f"{len(wrong):,} of {sum(name in fasta for name in feature_ids):,} sequences in {fasta_path} "
            f"contradict their ids ({first_few(wrong)}): they were cut, or belong to another table"
        )
        notes.append(Note("sequences-contradict-ids", what, "warning"))
    others = fasta.keys() - set(feature_ids) if lost else ()
    return FeatureSequences(sequences, tuple(notes), closest_transformation(lost, others))


def _contradicts(name: str, sequence: bytes) -> bool:
    """Return whether a feature's id is the hash of another sequence, or another sequence."""
    if (algorithm := hash_algorithm(name)) is not None:
        return sequence_hash(sequence, algorithm) != name
    return _SEQUENCE.fullmatch(name) is not None and normalise(name.upper().encode()) != sequence


def _unknown(feature_ids: np.ndarray, is_sequence: np.ndarray, path: Path | str | None) -> DataError:
    if error := profile_error(feature_ids, path):
        return error
    looks, remaining = _LOOKS.get(kind_of_ids(feature_ids), "names"), feature_ids[~is_sequence]
    what = f"the feature ids are {looks}"
    if is_sequence.any():
        what = f"{len(remaining):,} of {len(feature_ids):,} feature ids are names"
    return DataError(
        f"{what}, not sequences",
        code="sequences-needed",
        file=path,
        offenders=list(remaining),
        remedy=f"Pass their sequences with --sequences rep-seqs.qza (or .fasta; {_EXPORT} writes one)",
    )


def _notes_of_changes(raw: Iterable[bytes]) -> list[Note]:
    total = gapped = rna = 0
    for sequence in raw:
        total += 1
        gapped += b"-" in sequence or b"." in sequence
        rna += b"U" in sequence
    notes = []
    if gapped:
        what = f"gaps (- and .) were removed from {gapped:,} of {total:,} sequences, which seem aligned"
        notes.append(Note("sequences-aligned", what))
    if rna:
        notes.append(Note("sequences-rna", f"U was read as T in {rna:,} of {total:,} sequences"))
    return notes


def sequence_hash(sequence: bytes, algorithm: Algorithm) -> str:
    """Return the hex digest of an upper-case sequence."""
    return hashlib.new(algorithm, sequence, usedforsecurity=False).hexdigest()


def hash_algorithm(name: str) -> Algorithm | None:
    """Return the algorithm whose hashes look like an id, None for other ids."""
    return next((algorithm for algorithm, pattern in PATTERNS.items() if pattern.fullmatch(name)), None)


def normalise(sequence: bytes) -> bytes:
    """Normalise upper-case letters for hashing and reading: no gaps, T for U."""
    return sequence.translate(_U_TO_T, _GAPS)


def sequences_by_hash(wanted: Mapping[int, str], sequences: Iterable[bytes]) -> dict[int, bytes]:
    """Find sequences by their hash.

    Args:
        wanted: ids by any key; ids that are not hashes are ignored.
        sequences: upper-case letters; normalised for hashing, but returned as they are.

    Returns:
        Sequences by the keys of ``wanted``.
    """
    keys = {algorithm: dict[str, int]() for algorithm in PATTERNS}
    for key, name in wanted.items():
        if (algorithm := hash_algorithm(name)) is not None:
            keys[algorithm][name] = key
    searched = {algorithm: key_of for algorithm, key_of in keys.items() if key_of}
    matches = {}
    for sequence in sequences if searched else ():
        for algorithm, key_of in searched.items():
            if (match := key_of.get(sequence_hash(normalise(sequence), algorithm))) is not None:
                matches[match] = sequence
    return matches
