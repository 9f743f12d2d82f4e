"""Splits of samples into parts for training, for validation, and held out.

A sample without a group is a group of its own. Results do not depend on the order of the samples.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from aam_data.errors import DataError, first_few
from aam_data.id_matching import check_not_disjoint
from aam_data.notes import Note
from aam_data.options.samples import SplitOptions
from aam_data.random_keys import Purpose
from aam_data.readers.source import first_bytes_of_text
from aam_data.splits.id_lists import check_groups_whole, check_unique, read_id_lists
from aam_data.splits.partition import partition, partition_into_folds
from aam_data.splits.strata import group_codes, label_codes
from aam_data.writers.atomic import atomic_write

PARTS = ("train", "validation", "test", "calibration")
_HEADER = ["sample-id", "split", "group"]  # "sample-id" makes the file QIIME 2 metadata


@dataclass(frozen=True)
class Splits:
    """Ids of the samples of each part, sorted; no sample is in two parts.

    Attributes:
        train, validation, test: samples to learn from, to stop and choose by, and held out.
        calibration: samples that calibrate prediction intervals; usually none.
        notes: sentences about samples that are in no part.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    calibration: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    def part_of(self) -> dict[str, str]:
        """Map sample ids to parts."""
        return {sample_id: part for part in PARTS for sample_id in getattr(self, part)}

    def summary(self, groups: Mapping[str, str | None] | None = None) -> str:
        """Describe the sizes: ``"329 samples for training, 47 samples for validation, 94 samples held out"``.

        With groups, the description also has the number of groups of each part.
        """
        words = zip(("for training", "for validation", "held out", "for calibration"), PARTS, strict=True)
        shown = [(purpose, part) for purpose, part in words if part != "calibration" or self.calibration]
        text = ", ".join(f"{_count(getattr(self, part), groups)} {purpose}" for purpose, part in shown)
        alone = sum(groups[sample_id] is None for sample_id in self.part_of()) if groups else 0
        return f"{text}; {alone:,} samples without a group count as one each" if alone else text

    def write(self, path: Path, groups: Mapping[str, str | None] | None = None) -> None:
        """Write ``sample-id, split, group`` as TSV, sorted by id; the group is empty if there is none."""
        with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, "excel-tab", lineterminator="\n")
            writer.writerow(_HEADER)
            for sample_id, part in sorted(self.part_of().items()):
                writer.writerow([sample_id, part, (groups[sample_id] if groups else None) or ""])


def read_splits(path: Path) -> Splits:
    """Read a file that ``Splits.write`` wrote.

    Args:
        path: ``splits.tsv`` of a run folder.

    Returns:
        The split.

    Raises:
        DataError: not such a file.

    Example:
        >>> held_out = read_splits(Path("runs/age/splits.tsv")).test
    """
    first_bytes_of_text(path, "--splits-from")  # raises for what is not a text file
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, "excel-tab", strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"not a file of splits: {error}", code="split-file-invalid", file=path) from error
    if not rows or rows[0] != _HEADER:
        raise DataError(
            f"not a file of splits: the header is not {', '.join(_HEADER)}", code="split-file-invalid", file=path
        )
    wrong = [number for number, row in enumerate(rows, 1) if len(row) != 3 or (number > 1 and row[1] not in PARTS)]
    if wrong:
        problem = f"rows must have an id, one of {', '.join(PARTS)}, and a group"
        raise DataError(problem, code="split-file-invalid", file=path, offenders=[f"row {number}" for number in wrong])
    check_unique([row[0] for row in rows[1:]], path)
    members = {part: tuple(sorted(row[0] for row in rows[1:] if row[1] == part)) for part in PARTS}
    return Splits(**members, notes=())


def read_groups(path: Path) -> dict[str, str]:
    """Read the group of each sample from a file that ``Splits.write`` wrote, empty for none; see `read_splits`."""
    read_splits(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row[0]: row[2] for row in list(csv.reader(file, "excel-tab", strict=True))[1:]}


def splits_file(path: Path) -> Path:
    """Return the file of splits: the path itself, or that of a run folder. Raises DataError if there is none."""
    file = path / "splits.tsv" if path.is_dir() else path
    if not file.is_file():
        problem = "no such file of splits" if not path.is_dir() else "this folder has no splits.tsv"
        raise DataError(
            problem, code="file-missing", file=path, remedy="Pass a run folder or a splits.tsv with --splits-from"
        )
    return file


def _splits_of_run(path: Path, usable: set[str]) -> Splits:
    """Read the splits of another run, reduced to the samples that can be used here."""
    file = splits_file(path)
    before = read_splits(file)
    members = {part: tuple(i for i in getattr(before, part) if i in usable) for part in PARTS}
    known = set(before.part_of())
    if not members["train"]:
        check_not_disjoint(sorted(usable), sorted(known), file)
        raise DataError(
            "none of its training samples can be used here",
            code="split-part-unusable",
            file=file,
            offenders=sorted(before.train)[:3],
        )
    notes = []
    if new := sorted(usable - known):
        what = f"{len(new):,} of {len(usable):,} samples are not in {file}, left out: {first_few(new)}"
        notes.append(Note("split-new-samples", what, "warning"))
    if absent := sorted(known - usable):
        what = f"{len(absent):,} of {len(known):,} samples of {file} cannot be used here: {first_few(absent)}"
        notes.append(Note("split-samples-unusable", what))
    return Splits(**members, notes=tuple(notes))


def split_samples(
    sample_ids: Sequence[str],
    options: SplitOptions,
    seed: int,
    groups: Sequence[str | None] | np.ndarray | None = None,
    strata: Sequence[Sequence[str | None] | np.ndarray] = (),
    left_out: Collection[str] = (),
) -> Splits:
    """Divide samples by the shares or the lists of ids in the options.

    Args:
        sample_ids: [B] the samples that can be used.
        options: shares or id lists.
        seed: random seed of the shares.
        groups: [B] values of ``--group-column`` in the order of ``sample_ids``; a group stays in one part.
        strata: labels [B] each, such as classes, whose proportions should be equal in all parts.
        left_out: known samples that cannot be used (too few reads, no target); lists may name them.

    Returns:
        The splits; equal for every order of the samples.

    Raises:
        DataError: too few samples or groups for the parts; id lists that overlap, are empty, name unknown
            samples or split a group.

    Example:
        >>> split_samples([f"s{i}" for i in range(10)], SplitOptions(), seed=42).summary()
        '7 samples for training, 1 samples for validation, 2 samples held out'
    """
    ids, units, members = _units(sample_ids, groups, strata)
    if options.train_samples is not None or options.splits_from is not None:
        if options.splits_from is not None:
            splits = _splits_of_run(options.splits_from, set(ids))
        else:
            parts, notes = read_id_lists(options, set(ids), left_out)
            splits = Splits(**parts, notes=notes)
        if groups is not None:
            check_groups_whole(splits.part_of(), dict(zip(sample_ids, groups, strict=True)), options.group_column)
        return splits
    shares = {"test": options.test_size, "validation": options.val_size}
    shares["train"] = 1.0 - sum(shares.values())
    wanted = [part for part, share in shares.items() if share > 0]
    n_units = members[0].shape[0]
    if n_units < len(wanted):
        kind = ("sample" if n_units == 1 else "samples") if groups is None else "group" if n_units == 1 else "groups"
        of_column = "" if groups is None else f" of --group-column {options.group_column}"
        fewer = "Use --val-size 0 or --test-size 0" if n_units > 1 else ""  # one cannot be divided at all
        more = "a --group-column with more groups" if groups is not None else "" if fewer else "more samples"
        raise DataError(
            f"{n_units:,} {kind}{of_column} cannot be divided into {', '.join(reversed(wanted))}",
            code="split-too-few-samples",
            remedy=f"{fewer}, or {more}" if fewer and more else fewer or f"Use {more}",
        )
    part = partition(members, np.array([shares[name] for name in wanted]), seed, Purpose.SPLIT)
    return _splits(ids, np.array([*wanted])[part[units]])


def cross_validation(
    sample_ids: Sequence[str],
    folds: int,
    val_size: float,
    seed: int,
    groups: Sequence[str | None] | np.ndarray | None = None,
    strata: Sequence[Sequence[str | None] | np.ndarray] = (),
) -> list[Splits]:
    """Make splits whose test parts contain every sample exactly once; groups and strata as in ``split_samples``.

    Args:
        sample_ids: [B] the samples that can be used.
        folds: number of splits, at least 2.
        val_size: share of all samples for validation, taken from each fold's other samples.
        seed: random seed.
        groups: [B] group of each sample.
        strata: labels [B] each.

    Returns:
        One split per fold.

    Raises:
        DataError: too few samples or groups for so many folds, or no sample is left to train on.

    Example:
        >>> [len(fold.test) for fold in cross_validation(["S1", "S2", "S3", "S4", "S5", "S6"], 3, 0.0, seed=1)]
        [2, 2, 2]
    """
    rest_share = 1.0 - 1.0 / folds
    if folds < 2 or val_size >= rest_share:
        raise DataError(
            f"{folds} folds and --val-size {val_size} leave no sample to train on", code="split-too-few-samples"
        )
    ids, units, members = _units(sample_ids, groups, strata)
    kind = "samples" if groups is None else "groups"
    n_units = members[0].shape[0]
    too_few = DataError(
        f"{n_units:,} {kind} are too few for {folds} folds", code="split-too-few-samples", remedy="Use fewer folds"
    )
    if n_units < folds:
        raise too_few
    fold_of = partition_into_folds(members, folds, seed, Purpose.FOLDS)
    splits = []
    for fold in range(folds):
        rest = np.flatnonzero(fold_of != fold)
        part = np.full(n_units, "test", dtype=object)
        part[rest] = "train"
        if val_size > 0:
            if len(rest) < 2:
                raise too_few
            share = val_size / rest_share
            inner = partition(
                [each[rest] for each in members], np.array([share, 1.0 - share]), seed, Purpose.FOLDS, fold
            )
            part[rest[inner == 0]] = "validation"
        splits.append(_splits(ids, part[units]))
    return splits


def with_calibration(splits: Splits, share: float, seed: int, groups: Mapping[str, str | None] | None) -> Splits:
    """Move a share of a split's training samples to calibration, whole groups at a time.

    A split that already has calibration samples (``--splits-from`` of another run) keeps them.

    Raises:
        DataError: the training samples are too few, or of a single group.
    """
    if splits.calibration:
        return splits
    train_groups = None if groups is None else [groups[i] for i in splits.train]
    inner = split_samples(splits.train, SplitOptions(test_size=0.0, val_size=share), seed, train_groups)
    return replace(splits, train=inner.train, calibration=inner.validation)


def without_calibration(splits: Splits) -> Splits:
    """Move a split's calibration samples to training."""
    return replace(splits, train=tuple(sorted(splits.train + splits.calibration)), calibration=())


def _units(
    sample_ids: Sequence[str],
    groups: Sequence[str | None] | np.ndarray | None,
    strata: Sequence[Sequence[str | None] | np.ndarray],
) -> tuple[np.ndarray, np.ndarray, list[csr_array]]:
    """Return sorted ids [B], the unit of each [B], and for each of the strata, sizes of units by label [G, K]."""
    ids = np.array(sample_ids, dtype=object)
    order = np.argsort(ids)
    units = np.arange(len(ids)) if groups is None else group_codes(np.array(groups, dtype=object)[order])
    n_units, members = units.max(initial=-1) + 1, []
    for labels in strata or [np.full(len(ids), None)]:
        names, codes = label_codes(np.array(labels, dtype=object)[order])
        codes[codes < 0] = len(names)  # missing values are a label too
        ones = np.ones(len(ids), dtype=np.int64)
        members.append(csr_array((ones, (units, codes)), shape=(n_units, len(names) + 1)))
    return ids[order], units, members


def _splits(ids: np.ndarray, part: np.ndarray) -> Splits:
    return Splits(**{name: tuple(ids[part == name]) for name in PARTS})


def _count(ids: Sequence[str], groups: Mapping[str, str | None] | None) -> str:
    if groups is None:
        return f"{len(ids):,} samples"
    n_groups = len({(groups[i] is None, groups[i] or i) for i in ids})
    return f"{len(ids):,} samples ({n_groups:,} groups)"
