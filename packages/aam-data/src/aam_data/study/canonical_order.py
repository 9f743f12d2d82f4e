"""Features in canonical order: sorted by sequence, one feature per sequence, none without reads.

Rarefaction and masking use this order, so neither the order of a table's rows nor their names change a result.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from aam_data.errors import DataError
from aam_data.notes import Note
from aam_data.options.files import TableOptions
from aam_data.sequences import Sequences, build_sequences
from aam_data.study.feature_sequences import FeatureSequences
from aam_data.study.frame.bring import bring_into_frame
from aam_data.study.frame.frame import Frame
from aam_data.study.orientation import orientation_notes
from aam_data.table import CountTable

_MAX_LISTED_LENGTHS = 5


def canonical_features(
    table: CountTable, known: FeatureSequences, options: TableOptions, frame: Frame | None = None
) -> tuple[CountTable, Sequences, list[Note]]:
    """Bring the features of a table into canonical order.

    Args:
        table: the table of the file.
        known: the sequences of its features.
        options: ``missing_features``, ``trim_length`` and the names of the files for messages.
        frame: of the model that the table is for; None to take the sequences as they are.

    Returns:
        The table, the sequences of its features, and notes on what was dropped, cut and merged. A merged feature
        has the first of its ids in sorted order; ``merged_ids`` of the sequences lists all of them.

    Raises:
        DataError: no reads, features without a sequence (unless they may be dropped), no feature left, sequences
            so long that their codes need more than ``max_input_gb``, or of another region than the frame.
    """
    observed = table.samples_per_feature() > 0
    if not observed.any():
        raise DataError("no sample has reads", code="table-no-reads", file=options.path)
    missing = observed & known.missing()
    notes = list(known.notes)
    if not observed.all():
        what = f"{np.count_nonzero(~observed):,} of {table.n_features:,} features have no reads and were dropped"
        notes.append(Note("table-features-without-reads", what))
    if missing.any():
        notes.append(_check_missing(table, missing, known, options))
    rows = np.flatnonzero(observed & ~missing)
    if len(rows) == 0:
        raise DataError("no feature with reads and a sequence", code="sequences-missing", file=options.path)
    letters = whole = [known.sequences[row] or b"" for row in rows]
    if frame is not None:
        brought = bring_into_frame(whole, table.reads_per_feature()[rows], frame, options.sequences or options.path)
        kept = [i for i, sequence in enumerate(brought.sequences) if sequence]
        rows, letters, whole = rows[kept], [letters[i] for i in kept], [brought.sequences[i] for i in kept]
        notes += brought.notes
    notes += orientation_notes(whole, table.reads_per_feature()[rows])
    sequences, trim_notes = _trim(whole, options.trim_length)
    order = sorted(range(len(rows)), key=lambda i: (sequences[i], table.feature_ids[rows[i]]))
    first = np.array([i == 0 or sequences[order[i]] != sequences[order[i - 1]] for i in range(len(order))])
    unique = [sequences[order[i]] for i in np.flatnonzero(first)]
    _check_size(unique, options)
    feature, ids = np.cumsum(first) - 1, table.feature_ids[rows[order]]
    new_index = np.full(table.n_features, -1, dtype=np.int64)
    new_index[rows[order]] = feature
    if len(unique) < len(rows):
        merged = f"{len(rows) - len(unique):,} of {len(rows):,} features"
        what = f"{merged} have the same sequence as another feature and were added to it"
        trim_notes.append(Note("sequences-merged", what))
    firsts = enumerate(order[i] for i in np.flatnonzero(first))
    file_letters = {feature: letters[i] for feature, i in firsts if letters[i] != whole[i]}
    built = build_sequences(unique, _merged_ids(ids, feature), file_letters)
    return table.regroup_features(new_index, ids[first]), built, notes + trim_notes + _describe(built, unique)


def _merged_ids(ids: np.ndarray, feature: np.ndarray) -> dict[int, tuple[str, ...]]:
    """Map features with several ids to their ids; both arrays are ordered by feature."""
    starts, sizes = np.unique(feature, return_index=True, return_counts=True)[1:]
    return {int(i): tuple(ids[starts[i] : starts[i] + sizes[i]]) for i in np.flatnonzero(sizes > 1)}


def _check_missing(table: CountTable, missing: np.ndarray, known: FeatureSequences, options: TableOptions) -> Note:
    """Describe features without a sequence. Raises DataError unless they may be dropped."""
    lost, depths = table.reads_in(missing), table.depths()
    share = np.divide(lost, depths, out=np.zeros(table.n_samples), where=depths > 0)
    worst = int(np.argmax(share))
    what = f"{np.count_nonzero(missing):,} of {table.n_features:,} features have no sequence"
    size = f"{lost.sum():,.0f} reads ({lost.sum() / depths.sum():.2%})"
    if options.missing_features == "error":
        remedy = "Pass a file that has them with --sequences, or leave them out with --missing-features drop"
        raise DataError(
            f"{what}; they hold {size}",
            code="sequences-missing",
            file=options.sequences or options.path,
            offenders=list(table.feature_ids[missing]),
            remedy=f"{known.suggestion}. {remedy}" if known.suggestion else remedy,
        )
    typical = f"a median of {np.median(share[depths > 0]):.2%} of a sample"
    most = f"{share[worst]:.2%} at most ({table.sample_ids[worst]})"
    return Note("sequences-missing", f"{what} and were dropped with {size}, {typical}, {most}")


def _trim(sequences: list[bytes], length: int) -> tuple[list[bytes], list[Note]]:
    if length == 0:
        return sequences, []
    longer, shorter = (sum(len(s) > length for s in sequences), sum(len(s) < length for s in sequences))
    notes = [Note("sequences-trimmed", f"--trim-length {length} cut {longer:,} of {len(sequences):,} sequences")]
    if shorter:
        what = f"{shorter:,} of {len(sequences):,} sequences are shorter than --trim-length and were kept whole"
        notes.append(Note("sequences-shorter-than-trim", what))
    return [sequence[:length] for sequence in sequences], notes


def _check_size(sequences: list[bytes], options: TableOptions) -> None:
    longest = max(map(len, sequences))
    if len(sequences) * longest > options.max_input_gb * 1e9:
        raise DataError(
            f"{len(sequences):,} sequences of up to {longest:,} bases need {len(sequences) * longest / 1e9:,.1f} GB",
            code="sequences-too-long",
            file=options.sequences or options.path,
            remedy="Trim them with --trim-length, or raise --max-input-gb",
        )


def _describe(built: Sequences, letters: list[bytes]) -> list[Note]:
    notes = []
    lengths, times = np.unique(built.lengths - built.starts, return_counts=True)
    if len(lengths) > 1:
        text = f"sequences are {lengths[0]} to {lengths[-1]} bases long"
        if len(lengths) <= _MAX_LISTED_LENGTHS:
            text += " (" + ", ".join(f"{n} of {length}" for length, n in zip(lengths, times, strict=True)) + ")"
        notes.append(Note("sequences-of-several-lengths", text))
    cut = sum(longer.startswith(shorter) for shorter, longer in pairwise(letters))
    if cut:
        text = (
            f"{cut:,} of {len(letters):,} sequences are the start of a longer one: the table seems to merge "
            f"studies of different read lengths, so one organism counts as several ASVs; --trim-length {lengths[0]} "
            "merges them"
        )
        notes.append(Note("sequences-start-of-others", text, "warning"))
    if built.ambiguous:
        what = f"{len(built.ambiguous):,} of {len(built):,} sequences"
        text = f"{what} contain ambiguous bases, which are read but never masked or predicted"
        notes.append(Note("sequences-ambiguous-bases", text))
    return notes
