"""Splits that hold out the samples of one value of a metadata column at a time, such as one study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aam_data.errors import DataError, first_few
from aam_data.notes import Note
from aam_data.options.samples import SplitOptions
from aam_data.splits.splits import Splits, split_samples

MAX_VALUES = 100


def hold_out_values(
    sample_ids: Sequence[str],
    values: Sequence[str | None],
    column: str,
    options: SplitOptions,
    seed: int,
    groups: Sequence[str | None] | None = None,
    strata: Sequence[np.ndarray] = (),
    file: Path | None = None,
) -> list[Splits]:
    """Make one split for each value, in their order, whose test part has all its samples.

    Args:
        sample_ids: [B] the samples that can be used.
        values: [B] value of each sample; samples without one are left out and counted.
        column: of the values.
        options: ``val_size`` is the share of all samples for validation, taken from the other samples of each split.
        seed: random seed of validation.
        groups: [B] values of ``--group-column``; a group stays in one part.
        strata: labels [B] each, see `split_samples`.
        file: of the values, for messages.

    Raises:
        DataError: fewer than two values or more than 100, a group has several values, or too few samples are left.

    Example:
        >>> values = ["a", "a", "b", "c"]
        >>> splits = hold_out_values(["s1", "s2", "s3", "s4"], values, "study", SplitOptions(val_size=0.0), seed=1)
        >>> [split.test for split in splits]
        [('s1', 's2'), ('s3',), ('s4',)]
    """
    known = np.array([value is not None for value in values], dtype=bool)
    names = sorted({value for value in values if value is not None})
    _check_values(names, column, file)
    if groups is not None:
        _check_groups(groups, values, column, options, file)
    ids, of, splits = np.array(sample_ids, dtype=object), np.array(values, dtype=object), []
    for name in names:
        held_out = of == name
        rest = known & ~held_out
        share = options.val_size * known.sum() / rest.sum()
        if share >= 1:
            raise DataError(
                f"without {name!r}, --val-size {options.val_size} leaves no sample to train on",
                code="split-too-few-samples",
                file=file,
                place=f"column {column}",
                remedy="Use a smaller --val-size",
            )
        own_groups = None if groups is None else np.array(groups, dtype=object)[rest]
        shares, own_strata = replace(options, test_size=0.0, val_size=float(share)), [each[rest] for each in strata]
        inner = split_samples(ids[rest].tolist(), shares, seed, own_groups, own_strata)
        splits.append(replace(inner, test=tuple(sorted(ids[held_out]))))
    if not known.all():
        without = sorted(ids[~known])
        what = f"{len(without):,} samples have no value in {column} and are left out: {first_few(without)}"
        splits[0] = replace(splits[0], notes=(Note("split-value-missing", what, "warning"),))
    return splits


def _check_values(names: Sequence[str], column: str, file: Path | None) -> None:
    """Raise DataError unless the number of values suits one run for each."""
    if not 2 <= len(names) <= MAX_VALUES:
        raise DataError(
            f"the samples have {len(names):,} values, and --cv-by makes one run for each",
            code="split-values-unsuitable",
            file=file,
            place=f"column {column}",
            remedy=f"Use a column with 2 to {MAX_VALUES} values, or --cv",
        )


def _check_groups(
    groups: Sequence[str | None],
    values: Sequence[str | None],
    column: str,
    options: SplitOptions,
    file: Path | None,
) -> None:
    """Raise DataError if a group has several values."""
    found: dict[str, set[str]] = {}
    for group, value in zip(groups, values, strict=True):
        if group is not None and value is not None:
            found.setdefault(group, set()).add(value)
    divided = sorted(group for group, own in found.items() if len(own) > 1)
    if divided:
        raise DataError(
            f"{len(divided):,} groups of --group-column {options.group_column} have samples of several values, so that "
            "training and held-out samples would share them",
            code="split-divides-groups",
            file=file,
            place=f"column {column}",
            offenders=divided,
            remedy="Use a --cv-by column that does not divide groups, or --cv",
        )
