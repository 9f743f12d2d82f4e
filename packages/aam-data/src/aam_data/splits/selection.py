"""Selection of the samples that a run can use, and their splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aam_data.errors import DataError, Problems
from aam_data.notes import Note
from aam_data.options.samples import SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.class_labels import check_classes, number_notes
from aam_data.preprocessing.rarefaction import check_drawable, deep_enough, shallow_report
from aam_data.preprocessing.transforms import check_values
from aam_data.random_keys import Purpose, generator
from aam_data.readers.metadata.metadata import Metadata
from aam_data.splits.depth_effects import check_values_left
from aam_data.splits.held_out_values import hold_out_values
from aam_data.splits.splits import Splits, cross_validation, split_samples, with_calibration, without_calibration
from aam_data.splits.strata import strata_of
from aam_data.study.missing_codes import missing_codes
from aam_data.study.study import Study

DEFAULT_DEPTH = 5000
DEFAULT_MAX_BP = 150
_MIN_PART_SIZE = 10  # samples of a part; scores on fewer mean little


@dataclass(frozen=True, eq=False)
class Selection:
    """Selected samples.

    Attributes:
        rows: rows of the study that can be used, int64 [R].
        notes: sentences about the other samples and about the target.
    """

    rows: np.ndarray
    notes: tuple[Note, ...]


def default_depth(depth: int | None, *, with_matrix: bool, relative_abundance: bool) -> int:
    """Return the depth to rarefy to.

    That is the depth passed, if any; else 0 with a matrix (which belongs to the table as it is) or with fractions;
    else 5000.
    """
    if depth is not None:
        return depth
    return 0 if with_matrix or relative_abundance else DEFAULT_DEPTH


def select_samples(study: Study, depth: int, target: TargetOptions | None = None) -> Selection:
    """Select samples that are deep enough to rarefy and, with a target, have a value in at least one of its columns.

    Raises:
        DataError: no sample is left, or a target column is absent, not numeric or unusable as classes; problems of
            all columns together.
    """
    file = study.inputs[0].path if study.inputs else None
    if depth:
        check_drawable(study.table, file)
    usable = deep_enough(study.table, depth, file)
    notes = [text for text in [shallow_report(study.table, depth)] if text]
    if target is not None:
        assert study.metadata is not None
        columns = ", ".join(target.metadata_column)
        known = _has_target(study, target, usable, depth)
        if missing := int((usable & ~known).sum()):
            what = f"{missing:,} samples have no value in {columns} and are left out"
            notes.append(Note("target-missing-values", what))
        usable &= known
        notes += target_notes(study.metadata, target)
        if target.classifier:
            column = target.metadata_column[0]
            classes = study.metadata.text(column)
            notes += check_values_left(study.table, depth, usable, classes, column, study.metadata.path)
            check_classes(classes[usable], column, study.metadata.path)
        if not usable.any():
            raise DataError(
                f"no sample has both a value in {columns} and {max(depth, 1):,} reads",
                code="target-no-values",
                remedy="Lower --rarefy-depth, or choose another --metadata-column",
            )
    return Selection(np.flatnonzero(usable), tuple(notes))


def _has_target(study: Study, target: TargetOptions, usable: np.ndarray, depth: int) -> np.ndarray:
    """Find samples with a value in any of the target columns, bool [B]; ``usable`` samples must have varying values."""
    metadata = study.metadata
    assert metadata is not None
    if target.classifier:
        return np.array([value is not None for value in metadata.text(target.metadata_column[0])])
    problems = Problems()
    known = [
        problems.collect(_known_numbers, study, column, usable, depth, target) for column in target.metadata_column
    ]
    problems.raise_collected()
    return np.any([values for values in known if values is not None], axis=0)


def _known_numbers(study: Study, column: str, usable: np.ndarray, depth: int, target: TargetOptions) -> np.ndarray:
    """Find samples with a value of a numeric target, bool [B].

    Raises:
        DataError: there is none, all usable values are equal, or the target's transform cannot take one of them.
    """
    metadata = study.metadata
    assert metadata is not None
    values = metadata.numeric(column)
    check_values(target.scale().kind, values, column, metadata.path)
    known = np.isfinite(values)
    place, another = f"column {column}", "Choose another --metadata-column"
    if not known.any():
        remedy = f"{another}, or see --na-value and --no-default-na"
        raise DataError(
            "no sample of the table has a value",
            code="target-no-values",
            file=metadata.path,
            place=place,
            remedy=remedy,
        )
    learned = values[known & usable]
    if len(learned) > 0 and (learned == learned[0]).all():
        numbers = values.astype(object)
        numbers[~known] = None
        check_values_left(study.table, depth, usable & known, numbers, column, metadata.path)
        problem = f"all {len(learned):,} samples with a value have {learned[0]:g}, so there is nothing to learn"
        raise DataError(problem, code="target-constant", file=metadata.path, place=place, remedy=another)
    return known


def target_notes(metadata: Metadata, target: TargetOptions) -> list[Note]:
    """Return warnings about suspicious target columns, and the new spelling of older options."""
    older = target.older_spellings()
    notes = list[Note]()
    if older:
        notes.append(
            Note("option-older-spelling", f"{', '.join(older)} is an older spelling of {target.scale().flags()}")
        )
    for column in target.metadata_column:
        if not target.classifier:
            notes += missing_code_notes(metadata, column)
        if not target.classifier and metadata.types.get(column) == "categorical":
            declared = f"the metadata file declares {column} as categorical (#q2:types)"
            what = f"{declared}; use --classifier to predict classes"
            notes.append(Note("target-declared-categorical", what, "warning"))
        if target.classifier:
            notes += doubtful_notes(metadata, column, "classes")
            notes += number_notes(metadata.text(column), column)
    return notes


def missing_code_notes(metadata: Metadata, column: str) -> list[Note]:
    """Return a warning if a column of numbers has values that may mean missing."""
    if not (codes := missing_codes(metadata.numeric(column))):
        return []
    shown = ", ".join(f"{value} ({count:,})" for value, count in codes.items())
    flags = " ".join(f"--na-value {value}" for value in codes)
    text = f"{column} has values far outside of all others that may mean missing: {shown}; if so, pass {flags}"
    return [Note("metadata-codes-for-missing", text, "warning")]


def doubtful_notes(metadata: Metadata, column: str, what: str) -> list[Note]:
    """Return a warning if a column of words has some that may mean missing; ``what`` is a plural for the words."""
    if not (doubtful := metadata.doubtful(column)):
        return []
    words = ", ".join(f"{word!r} ({count:,})" for word, count in doubtful.items())
    text = f"{column} has {what} that may mean missing: {words}; if so, pass --na-value"
    return [Note("metadata-words-for-missing", text, "warning")]


def make_splits(
    study: Study,
    rows: np.ndarray,
    options: SplitOptions,
    seed: int,
    target: TargetOptions | None,
    folds: int = 0,
    calibration_size: float | None = None,
    *,
    repeats: int = 1,
    by: str | None = None,
) -> list[Splits]:
    """Make one split, or one per fold; groups stay together, and targets (and a column to stratify by) are balanced.

    Args:
        study: the study.
        rows: int64 [R] rows of the study to split.
        options: shares or lists of samples.
        seed: random seed.
        target: target whose values are balanced, if any.
        folds: number of folds; 0 for one split.
        calibration_size: share of the training samples that calibrates intervals; None = all of them train.
        repeats: partitions into folds, one after the other; the first is that of ``repeats`` 1.
        by: metadata column whose values are held out one at a time; None for none.
    """
    if by is not None:
        splits = _by_value(study, rows, options, seed, target, by)
    else:
        seeds = [seed if number == 0 else _seed_of_repeat(seed, number) for number in range(repeats)]
        splits = [split for each in seeds for split in _divide(study, rows, options, each, target, folds)]
    if calibration_size is None:
        return [without_calibration(split) for split in splits]
    groups = groups_of(study, options)
    return [with_calibration(split, calibration_size, seed, groups) for split in splits]


def _divide(
    study: Study, rows: np.ndarray, options: SplitOptions, seed: int, target: TargetOptions | None, folds: int
) -> list[Splits]:
    groups = _column(study, rows, options.group_column)
    strata = strata_of(study.metadata, rows, target, options.stratify_column)
    ids = study.table.sample_ids[rows]
    if folds:
        return cross_validation(ids, folds, options.val_size, seed, groups, strata)
    left_out = set(study.table.sample_ids) - set(ids)
    return [split_samples(ids, options, seed, groups, strata, left_out)]


def _seed_of_repeat(seed: int, number: int) -> int:
    return int(generator(seed, Purpose.REPEATS, number).integers(2**63))


def _by_value(
    study: Study, rows: np.ndarray, options: SplitOptions, seed: int, target: TargetOptions | None, by: str
) -> list[Splits]:
    assert study.metadata is not None
    values, groups = _column(study, rows, by), _column(study, rows, options.group_column)
    assert values is not None
    strata = strata_of(study.metadata, rows, target, options.stratify_column)
    ids = study.table.sample_ids[rows].tolist()
    own_groups = None if groups is None else groups.tolist()
    return hold_out_values(ids, values.tolist(), by, options, seed, own_groups, strata, study.metadata.path)


def small_parts(splits: Splits, *, validates: bool = True) -> list[Note]:
    """Return notes on samples in no part, and warnings about parts so small that their scores mean little.

    Args:
        validates: whether anything depends on the validation samples.
    """
    notes = [*splits.notes]
    for part, what in (
        ("validation", "early stopping and the best checkpoint depend on this part; raise --val-size"),
        ("test", "scores on this part will be imprecise; raise --test-size, or use --cv"),
    ):
        if part == "validation" and not validates:
            continue
        if 0 < (size := len(getattr(splits, part))) < _MIN_PART_SIZE:
            text = f"only {size} {part} {'sample' if size == 1 else 'samples'}: {what}"
            notes.append(Note("split-small-part", text, "warning"))
    return notes


def groups_of(study: Study, options: SplitOptions, by: str | None = None) -> dict[str, str | None] | None:
    """Map sample ids to groups; None without a group column.

    Args:
        by: column whose values are the groups; that of the options by default.
    """
    groups = _column(study, np.arange(study.table.n_samples), by or options.group_column)
    return None if groups is None else dict(zip(study.table.sample_ids, groups, strict=True))


def _column(study: Study, rows: np.ndarray, column: str | None) -> np.ndarray | None:
    if column is None:
        return None
    assert study.metadata is not None
    return study.metadata.text(column)[rows]
