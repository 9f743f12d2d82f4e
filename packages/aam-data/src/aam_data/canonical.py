"""Features in canonical order: sorted by their sequences, one feature a sequence, none without reads.

Draws and masks refer to this order, so neither the order of a table's rows nor their names change a result.
"""

from __future__ import annotations

import numpy as np

from aam_data.alphabet import AMBIGUOUS
from aam_data.config import TableOptions
from aam_data.errors import DataError
from aam_data.sequences import FeatureSequences, Sequences, build_sequences
from aam_data.table import CountTable


def canonical_features(
    table: CountTable, found: FeatureSequences, options: TableOptions
) -> tuple[CountTable, Sequences, list[str]]:
    """Bring the features of a table into canonical order.

    Args:
        table: as it was read.
        found: the sequences of its features.
        options: ``missing_features``, ``trim_length`` and the file's name for messages.

    Returns:
        The table, the sequences of its features, and sentences about what was dropped, cut and merged. Of features
        that become one, the first id in sorted order stays.

    Raises:
        DataError: features without a sequence (unless they may be dropped), none left, or sequences so long that
            their codes need more than ``max_input_gb``.
    """
    observed = np.bincount(table.data.indices, minlength=table.n_features) > 0
    missing = observed & found.missing()
    notes = list(found.notes)
    if not observed.all():
        notes.append(f"{np.count_nonzero(~observed):,} of {table.n_features:,} features have no reads and were dropped")
    if missing.any():
        notes.append(_refuse_or_describe(table, missing, options))
    rows = np.flatnonzero(observed & ~missing)
    if len(rows) == 0:
        raise DataError("no feature with reads and a sequence", file=options.table)
    sequences, trim_notes = _trim([found.sequences[row] or b"" for row in rows], options.trim_length)
    order = sorted(range(len(rows)), key=lambda i: (sequences[i], table.feature_ids[rows[i]]))
    first = [i == 0 or sequences[order[i]] != sequences[order[i - 1]] for i in range(len(order))]
    unique = [sequences[i] for i, is_first in zip(order, first, strict=True) if is_first]
    _refuse_giants(unique, options)
    new_index = np.full(table.n_features, -1, dtype=np.int64)
    new_index[rows[order]] = np.cumsum(first) - 1
    table = table.regroup_features(new_index, table.feature_ids[rows[order]][first])
    if len(unique) < len(rows):
        merged = f"{len(rows) - len(unique):,} of {len(rows):,} features"
        trim_notes.append(f"{merged} have the sequence of another one, and their counts were added to it")
    built = build_sequences(unique)
    return table, built, notes + trim_notes + _describe(built)


def _refuse_or_describe(table: CountTable, missing: np.ndarray, options: TableOptions) -> str:
    reads = np.where(missing[table.data.indices], table.data.counts, 0)
    sample = np.repeat(np.arange(table.n_samples), table.features_per_sample())
    lost, depths = np.bincount(sample, weights=reads, minlength=table.n_samples), table.depths()
    share = np.divide(lost, depths, out=np.zeros(table.n_samples), where=depths > 0)
    worst = int(np.argmax(share))
    what = f"{np.count_nonzero(missing):,} of {table.n_features:,} features have no sequence"
    size = f"{lost.sum():,.0f} reads ({lost.sum() / depths.sum():.2%})"
    if options.missing_features == "error":
        raise DataError(
            f"{what}; they hold {size}",
            file=options.sequences or options.table,
            offenders=list(table.feature_ids[missing]),
            remedy="Give --sequences a file that has them, or leave them out with --missing-features drop",
        )
    return f"{what} and were dropped with {size}, at most {share[worst]:.2%} of a sample ({table.sample_ids[worst]})"


def _trim(sequences: list[bytes], length: int) -> tuple[list[bytes], list[str]]:
    if length == 0:
        return sequences, []
    longer, shorter = (sum(len(s) > length for s in sequences), sum(len(s) < length for s in sequences))
    notes = [f"--trim-length {length} cut {longer:,} of {len(sequences):,} sequences"]
    if shorter:
        notes.append(f"{shorter:,} of {len(sequences):,} sequences are shorter than --trim-length and stayed whole")
    return [sequence[:length] for sequence in sequences], notes


def _refuse_giants(sequences: list[bytes], options: TableOptions) -> None:
    longest = max(map(len, sequences))
    if len(sequences) * longest > options.max_input_gb * 1e9:
        raise DataError(
            f"{len(sequences):,} sequences of up to {longest:,} bases need {len(sequences) * longest / 1e9:,.1f} GB",
            file=options.sequences or options.table,
            remedy="Cut them with --trim-length, or raise --max-input-gb",
        )


def _describe(sequences: Sequences) -> list[str]:
    notes = []
    shortest, longest = int(sequences.lengths.min()), int(sequences.lengths.max())
    if shortest < longest:
        notes.append(
            f"sequences are {shortest} to {longest} bases long: "
            "the same organism at two lengths counts as two ASVs (--trim-length makes them one)"
        )
    ambiguous = int((sequences.codes == AMBIGUOUS).any(axis=1).sum())
    if ambiguous:
        what = f"{ambiguous:,} of {len(sequences):,} sequences"
        notes.append(f"{what} hold ambiguous bases, which are read but never masked or predicted")
    return notes
