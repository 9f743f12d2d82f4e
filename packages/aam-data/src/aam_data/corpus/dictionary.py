"""The dictionary of a corpus: each sequence of its studies once, in canonical order.

A study brings new sequences that lie between the others, so its dictionary is written anew; the counts of the studies
are by their own numbers of ASVs and stay as they are. Only ``members-N.npy``, their numbers in the dictionary, change.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aam_data.alphabet import AMBIGUOUS, BASES, A
from aam_data.corpus.arrays import MappedArray, write_array
from aam_data.corpus.manifest import DICTIONARY_FILES, FileFacts, Manifest, StudyFacts
from aam_data.sequences import Sequences

_LETTERS = np.zeros(256, dtype=np.uint8)
_LETTERS[A : A + len(BASES)] = np.frombuffer(BASES.encode(), dtype=np.uint8)


def read_dictionary(folder: Path, manifest: Manifest) -> Sequences:
    """Map the sequences of a corpus to memory.

    Raises:
        DataError: files that are not those of a dictionary.
    """
    path = folder / manifest.dictionary_folder
    codes, lengths, keys, rows, letters = (
        MappedArray(path / name, kind, ndim).values
        for name, kind, ndim in zip(DICTIONARY_FILES, "uiuiu", (2, 1, 1, 1, 2), strict=True)
    )
    ambiguous = {row: text.tobytes().rstrip(b"\0") for row, text in zip(rows.tolist(), letters, strict=True)}
    return Sequences(codes, np.array(lengths), np.array(keys), ambiguous)


def read_members(folder: Path, manifest: Manifest, study: StudyFacts) -> np.ndarray:
    """Return the numbers of a study's ASVs in the dictionary, int32, ascending."""
    return np.array(MappedArray(folder / manifest.dictionary_folder / study.members, "i").values)


def letters_of(sequences: Sequences) -> np.ndarray:
    """Return the letters of sequences as fixed-width bytes [A], which compare as text does."""
    width = max(sequences.codes.shape[1], 1)
    table = np.zeros((len(sequences), width), dtype=np.uint8)
    table[:, : sequences.codes.shape[1]] = _LETTERS[sequences.codes]
    letters = table.view(f"S{width}")[:, 0]
    for row in np.flatnonzero((sequences.codes == AMBIGUOUS).any(axis=1)).tolist():
        letters[row] = sequences.ambiguous[row]
    return letters


def merge(before: Sequences | None, added: Sequences) -> tuple[Sequences, np.ndarray, np.ndarray]:
    """Merge sequences in canonical order.

    Returns:
        All sequences, and the number in them of each sequence of ``before`` and of ``added``, int64.
    """
    if before is None:
        return added, np.zeros(0, dtype=np.int64), np.arange(len(added))
    old, new = letters_of(before), letters_of(added)
    width = max(old.itemsize, new.itemsize)
    every = np.union1d(old.astype(f"S{width}"), new.astype(f"S{width}"))
    of_old, of_new = np.searchsorted(every, old), np.searchsorted(every, new)
    codes = np.zeros((len(every), max(before.codes.shape[1], added.codes.shape[1])), dtype=np.uint8)
    lengths, keys = np.zeros(len(every), dtype=np.int32), np.zeros(len(every), dtype=np.uint64)
    ambiguous: dict[int, bytes] = {}
    for sequences, numbers in ((before, of_old), (added, of_new)):
        codes[numbers, : sequences.codes.shape[1]] = sequences.codes
        lengths[numbers], keys[numbers] = sequences.lengths, sequences.keys
        ambiguous |= {int(numbers[row]): text for row, text in sequences.ambiguous.items()}
    return Sequences(codes, lengths, keys, dict(sorted(ambiguous.items()))), of_old, of_new


def write_dictionary(path: Path, sequences: Sequences, members: Mapping[str, np.ndarray]) -> dict[str, FileFacts]:
    """Write the folder of a dictionary and return the facts about its files.

    Args:
        path: the folder, which exists and is empty.
        members: numbers of each study's ASVs, by the name of the file.
    """
    longest = max((len(text) for text in sequences.ambiguous.values()), default=0)
    letters = np.zeros((len(sequences.ambiguous), longest), dtype=np.uint8)
    for row, text in enumerate(sequences.ambiguous.values()):
        letters[row, : len(text)] = np.frombuffer(text, dtype=np.uint8)
    rows = np.array(list(sequences.ambiguous), dtype=np.int32)
    arrays = (sequences.codes, sequences.lengths, sequences.keys, rows, letters)
    files: dict[str, np.ndarray] = dict(zip(DICTIONARY_FILES, arrays, strict=True))
    files |= {name: numbers.astype(np.int32) for name, numbers in members.items()}
    for name, array in files.items():
        write_array(path / name, array)
    return {name: FileFacts.of(path / name) for name in files}
