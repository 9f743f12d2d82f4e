"""Which samples of a study a run can use, and how they are divided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aam_data.errors import DataError, Problems
from aam_data.options.samples import SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.class_labels import check_classes
from aam_data.preprocessing.rarefaction import deep_enough, refuse_undrawable, shallow_report
from aam_data.preprocessing.transforms import check_values
from aam_data.readers.metadata.metadata import Metadata
from aam_data.splits.splits import Splits, cross_validation, split_samples, with_calibration, without_calibration
from aam_data.splits.strata import strata_of
from aam_data.study.missing_codes import missing_codes
from aam_data.study.study import Study

DEFAULT_DEPTH = 5000
DEFAULT_MAX_BP = 150
_FEWEST = 10  # samples of a part, below which its figures mean little


@dataclass(frozen=True, eq=False)
class Selection:
    """Rows of the study that can be used, int64 [R], and sentences about the others and about the target."""

    rows: np.ndarray
    notes: tuple[str, ...]


def default_depth(given: int | None, *, with_matrix: bool, relative_abundance: bool) -> int:
    """Reads to rarefy to: as given, else 0 with a matrix (it belongs to the table as it is) or fractions, else 5000."""
    if given is not None:
        return given
    return 0 if with_matrix or relative_abundance else DEFAULT_DEPTH


def select_samples(study: Study, depth: int, target: TargetOptions | None = None) -> Selection:
    """Samples deep enough to rarefy and, with a target, with a value in at least one of its columns.

    Raises:
        DataError: no sample is left, or a target column is absent, not numeric or not fit to be classes; all columns
            together.
    """
    file = study.inputs[0].path if study.inputs else None
    if depth:
        refuse_undrawable(study.table, file)
    usable = deep_enough(study.table, depth, file)
    notes = [text for text in [shallow_report(study.table, depth)] if text]
    if target is not None:
        assert study.metadata is not None
        columns = ", ".join(target.metadata_column)
        known = _has_target(study.metadata, target, usable)
        if missing := int((usable & ~known).sum()):
            notes.append(f"{missing:,} samples have no value in {columns} and are left out")
        usable &= known
        notes += target_notes(study.metadata, target)
        if target.classifier:
            column = target.metadata_column[0]
            check_classes(study.metadata.text(column)[usable], column, study.metadata.path)
        if not usable.any():
            raise DataError(
                f"no sample has both a value in {columns} and {max(depth, 1):,} reads",
                remedy="Lower --rarefy-depth, or choose another --metadata-column",
            )
    return Selection(np.flatnonzero(usable), tuple(notes))


def _has_target(metadata: Metadata, target: TargetOptions, usable: np.ndarray) -> np.ndarray:
    """Whether a sample has a value in any of the target columns, bool [B]; ``usable`` are to be learned from."""
    if target.classifier:
        return np.array([value is not None for value in metadata.text(target.metadata_column[0])])
    problems = Problems()
    kind = target.scale().kind
    known = [problems.collect(_known_numbers, metadata, column, usable, kind) for column in target.metadata_column]
    problems.raise_collected()
    return np.any([values for values in known if values is not None], axis=0)


def _known_numbers(metadata: Metadata, column: str, usable: np.ndarray, kind: str) -> np.ndarray:
    """Where a numeric target has a value, bool [B]; refused without any, when all usable ones are equal, and where
    the transform of this kind cannot take one."""
    values = metadata.numeric(column)
    check_values(kind, values, column, metadata.path)
    known = np.isfinite(values)
    place, another = f"column {column}", "Choose another --metadata-column"
    if not known.any():
        remedy = f"{another}, or see --na-value and --no-default-na"
        raise DataError("no sample of the table has a value", file=metadata.path, place=place, remedy=remedy)
    found = values[known & usable]
    if len(found) > 0 and (found == found[0]).all():
        problem = f"all {len(found):,} samples with a value have {found[0]:g}, so nothing can be learned"
        raise DataError(problem, file=metadata.path, place=place, remedy=another)
    return known


def target_notes(metadata: Metadata, target: TargetOptions) -> list[str]:
    """Warnings about target columns that may not be what they seem, and what older options became."""
    older = target.older_spellings()
    notes = [f"{', '.join(older)} became {target.scale().flags()}"] if older else []
    for column in target.metadata_column:
        if not target.classifier:
            notes += missing_code_notes(metadata, column)
        if not target.classifier and metadata.types.get(column) == "categorical":
            declared = f"the metadata declare {column} categorical (#q2:types)"
            notes.append(f"warning: {declared}; --classifier predicts classes")
        if target.classifier:
            notes += doubtful_notes(metadata, column, "classes")
    return notes


def missing_code_notes(metadata: Metadata, column: str) -> list[str]:
    """A warning when a column of numbers has some that may mean missing."""
    if not (codes := missing_codes(metadata.numeric(column))):
        return []
    shown = ", ".join(f"{value} ({count:,})" for value, count in codes.items())
    flags = " ".join(f"--na-value {value}" for value in codes)
    return [
        f"warning: {column} has values far outside of all others that may mean missing: {shown}; if so, give {flags}"
    ]


def doubtful_notes(metadata: Metadata, column: str, what: str) -> list[str]:
    """A warning when a column of words has some that may mean missing; ``what`` the words are."""
    if not (doubtful := metadata.doubtful(column)):
        return []
    words = ", ".join(f"{word!r} ({count:,})" for word, count in doubtful.items())
    return [f"warning: {column} has {what} that may mean missing: {words}; --na-value makes them missing"]


def make_splits(
    study: Study,
    rows: np.ndarray,
    options: SplitOptions,
    seed: int,
    target: TargetOptions | None,
    folds: int = 0,
    calibration_size: float | None = None,
) -> list[Splits]:
    """One split, or one a fold; groups stay together, targets (and a column to stratify by) are spread evenly.

    Args:
        folds: 0 for one split.
        calibration_size: share of the training samples that calibrates intervals; None = all of them train.
    """
    splits = _divide(study, rows, options, seed, target, folds)
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


def small_parts(splits: Splits) -> list[str]:
    """What happened to samples in no part, and warnings about parts so small that their figures mean little."""
    notes = [*splits.notes]
    for part, what in (
        ("validation", "early stopping and the best checkpoint depend on them; raise --val-size"),
        ("test", "held-out figures will be imprecise; raise --test-size, or see --cv"),
    ):
        if 0 < (size := len(getattr(splits, part))) < _FEWEST:
            notes.append(f"warning: only {size} {'sample is' if size == 1 else 'samples are'} for {part}: {what}")
    return notes


def groups_of(study: Study, options: SplitOptions) -> dict[str, str | None] | None:
    """Group of each sample by id, when there is a group column."""
    groups = _column(study, np.arange(study.table.n_samples), options.group_column)
    return None if groups is None else dict(zip(study.table.sample_ids, groups, strict=True))


def _column(study: Study, rows: np.ndarray, column: str | None) -> np.ndarray | None:
    if column is None:
        return None
    assert study.metadata is not None
    return study.metadata.text(column)[rows]
