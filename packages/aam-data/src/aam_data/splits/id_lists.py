"""Files of sample ids, one per line, for training, validation and test."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.id_matching import closest_transformation
from aam_data.notes import Note
from aam_data.options.samples import SplitOptions
from aam_data.readers.id_list import read_id_list, without_header

_FLAGS = {"train": "--train-samples", "validation": "--val-samples", "test": "--test-samples"}


def read_id_lists(
    options: SplitOptions, known: Collection[str], left_out: Collection[str]
) -> tuple[dict[str, tuple[str, ...]], tuple[Note, ...]]:
    """Read the sorted ids of train, validation and test, and notes; a part without a file is empty.

    Args:
        options: the files.
        known: samples that can be used.
        left_out: samples that exist but cannot be used; ignored in the lists.

    Raises:
        DataError: a list is empty, names unknown samples or the same one twice, or shares samples with another list.
    """
    files = {"train": options.train_samples, "validation": options.val_samples, "test": options.test_samples}
    members: dict[str, tuple[str, ...]] = dict.fromkeys(files, ())
    part_of: dict[str, str] = {}
    notes: list[Note] = []
    for part, path in files.items():
        if path is None:
            continue
        ids = read_id_list(path, _FLAGS[part])
        if ids and ids[0] not in known and ids[0] not in left_out:
            ids, note = without_header(ids, path)
            notes += note
        unknown = [sample_id for sample_id in ids if sample_id not in known and sample_id not in left_out]
        if unknown:
            problem = f"{len(unknown):,} samples are not in the table"
            suggestion = closest_transformation(unknown, [*known, *left_out])
            raise DataError(
                problem,
                code="split-ids-unknown",
                file=path,
                offenders=unknown,
                remedy=str(suggestion) if suggestion else None,
            )
        shared = [f"{sample_id} (also {part_of[sample_id]})" for sample_id in ids if sample_id in part_of]
        if shared:
            raise DataError(
                f"{len(shared):,} samples are in another list too",
                code="split-ids-repeated",
                file=path,
                offenders=shared,
            )
        members[part] = tuple(sorted(sample_id for sample_id in ids if sample_id in known))
        if not members[part]:
            raise DataError(
                "none of its samples can be used" if ids else "contains no sample id",
                code="split-part-unusable" if ids else "split-list-empty",
                file=path,
            )
        part_of |= dict.fromkeys(ids, part)
    return members, tuple(notes)


def check_groups_whole(part_of: Mapping[str, str], groups: Mapping[str, str | None], column: str | None) -> None:
    """Raise DataError if samples of one group are in different parts."""
    parts: dict[str, set[str]] = {}
    for sample_id, part in part_of.items():
        if (group := groups[sample_id]) is not None:
            parts.setdefault(group, set()).add(part)
    split = sorted(group for group, names in parts.items() if len(names) > 1)
    if split:
        raise DataError(
            f"the lists of samples split {len(split):,} groups of --group-column {column}",
            code="split-divides-groups",
            offenders=split,
            remedy="Change the lists, or leave out --group-column",
        )


def check_unique(ids: Sequence[str], path: Path) -> None:
    """Raise DataError if an id is listed twice."""
    values, counts = np.unique(np.array(ids, dtype=object), return_counts=True)
    if (counts > 1).any():
        raise DataError(
            "sample ids are listed twice", code="split-ids-repeated", file=path, offenders=list(values[counts > 1])
        )
