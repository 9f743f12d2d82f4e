"""Values of one column that seem to be one value in several spellings: ``TRUE`` and ``True``, ``101`` and ``101.0``.

Values are never merged: each spelling is a class, a group or a category of its own, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aam_data.errors import quoted
from aam_data.notes import Note
from aam_data.options.samples import SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.readers.metadata.metadata import Metadata
from aam_data.spelling import several_spellings
from aam_data.splits.selection import doubtful_notes

_MAX_SHOWN = 5
_CODES = {
    "groups": "groups-spelled-differently",
    "classes": "classes-spelled-differently",
    "categories": "categories-spelled-differently",
}


def spelling_notes(
    metadata: Metadata | None,
    rows: np.ndarray,
    target: TargetOptions | None,
    split: SplitOptions,
    inputs: Sequence[str] = (),
) -> list[Note]:
    """Return a warning for each column of groups, classes or categories that has values in several spellings.

    Groups whose name may mean missing get a warning too.

    Args:
        metadata: metadata of the study's samples; None without a file.
        rows: rows of the samples that can be used.
        target: the target, whose classes are compared, and whose scales may depend on categories.
        split: the columns of groups and of strata.
        inputs: categorical columns that are model input or weigh the loss.
    """
    if metadata is None:
        return []
    roles = dict.fromkeys((*inputs, *([split.stratify_column] if split.stratify_column else ())), "categories")
    if target is not None:
        roles |= dict.fromkeys(target.scale().by, "categories")
        roles |= dict.fromkeys(target.metadata_column if target.classifier else (), "classes")
    if split.group_column is not None:
        roles[split.group_column] = "groups"
    notes = []
    for column, what in roles.items():
        values = metadata.text(column)[rows]
        if same := several_spellings(values):
            notes.append(_warning(metadata, column, what, same, len(set(values) - {None})))
        if what == "groups":  # samples without a group are groups of their own; those of "NA" would be one
            notes += doubtful_notes(metadata, column, what)
    return notes


def _warning(metadata: Metadata, column: str, what: str, same: list[dict[str, int]], n_values: int) -> Note:
    shown = [" and ".join(f"{quoted(value)} ({count:,})" for value, count in each.items()) for each in same]
    more = f"; and {len(shown) - _MAX_SHOWN:,} more" if len(shown) > _MAX_SHOWN else ""
    n_apart = n_values - sum(len(each) - 1 for each in same)
    text = (
        f"{column} has {n_values:,} {what} that would be {n_apart:,} without differences of spelling: "
        f"{'; '.join(shown[:_MAX_SHOWN])}{more}"
    )
    if what == "groups":
        text += ". Samples of one group are then on both sides of a split, and held-out scores are too good"
    text += f". Nothing is merged: write each value in one way in {metadata.path.name} if it is the same"
    return Note(_CODES[what], text, "warning")
