"""Do the samples of the table appear in the other files, and if not, why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

from aam_data.errors import DataError, first_few

# How ids commonly differ between files of one study, and what makes them equal.
_TRANSFORMATIONS: dict[str, Callable[[str], str]] = {
    "blanks around the ids were removed": str.strip,
    "Qiita's study prefix (such as 2538.) were removed": lambda name: re.sub(r"^\d+\.", "", name),
    "upper and lower case were the same": str.lower,
}


def refuse_disjoint(sample_ids: Collection[str], other_ids: Collection[str], file: Path) -> None:
    """Raise DataError, with three ids of each side and what would make them match, when no sample is in ``file``."""
    if set(sample_ids).isdisjoint(other_ids):
        raise DataError(
            f"holds none of the table's samples; the table has {first_few(list(sample_ids), 3)}; "
            f"this file has {first_few(list(other_ids), 3)}",
            file=file,
            remedy=_hint(sample_ids, other_ids) or "Give the files of one study",
        )


def check_missing(
    sample_ids: Collection[str], other_ids: Collection[str], file: Path, policy: Literal["error", "ignore"]
) -> list[str]:
    """Apply ``--missing-samples`` to samples of the table that ``file`` lacks.

    Returns:
        Sentences with the counts of samples that only one side has.

    Raises:
        DataError: samples are missing and the policy is ``error``.
    """
    known, wanted = set(other_ids), set(sample_ids)
    missing = [name for name in sample_ids if name not in known]
    counts = f"{len(missing):,} of {len(sample_ids):,} samples of the table are not in {file.name}"
    if missing and policy == "error":
        remedy = "Add them, or go on without their values: --missing-samples ignore"
        hint = _hint(missing, known - wanted)
        raise DataError(counts, file=file, offenders=missing, remedy=f"{hint}. {remedy}" if hint else remedy)
    notes = [counts] if missing else []
    extra = len(known - wanted)
    if extra:
        notes.append(f"{extra:,} of {len(known):,} samples of {file.name} are not in the table")
    return notes


def _hint(sample_ids: Collection[str], other_ids: Collection[str]) -> str | None:
    """The transformation that makes most ids match."""
    matches = {
        what: len({change(name) for name in sample_ids} & {change(name) for name in other_ids})
        for what, change in _TRANSFORMATIONS.items()
    }
    best = max(matches, key=matches.__getitem__)
    return f"{matches[best]:,} of {len(sample_ids):,} samples would match if {best}" if matches[best] else None
