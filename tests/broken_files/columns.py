"""Columns that options name and that cannot be used, and cells beyond any sense."""

from __future__ import annotations

from .case import Case, Says, case, content
from .good_study import ROWS, metadata_text

FILE = "metadata.tsv"
CASES: list[Case] = [
    case(
        "group_column_by_a_part_of_its_name",
        content(FILE, metadata_text().replace("host", "host_subject_id")),
        Says(FILE, "no column host", remedy="Nearest: host_subject_id"),
    ),
    case(
        "metadata_very_long_cell",
        content(FILE, metadata_text().replace("\th5\t", f"\t{'h' * 200_000}\t", 1)),
        Says(FILE, "a cell of more than 131,072 characters", "row 12", remedy="Shorten it"),
    ),
    case(
        "target_is_the_column_of_ids",
        lambda folder: None,
        Says(FILE, "no column sample-id", remedy="sample-id holds the sample ids"),
        metadata_column="sample-id",
    ),
    case(
        "normalize_by_an_absent_column",
        lambda folder: None,
        Says(FILE, "no column plate"),
        metadata_column="age",
        target_transform="zscore-category",
        normalize_by="plate",
    ),
    case(
        "stratify_by_an_absent_column",
        lambda folder: None,
        Says(FILE, "no column plate"),
        stratify_column="plate",
    ),
    case(
        "target_values_too_close",
        content(FILE, metadata_text(rows=[[*row[:4], f"{i}e-322"] for i, row in enumerate(ROWS)])),
        Says(FILE, "values that differ by less than 1e-30 in all cannot be distinguished", "column age"),
        metadata_column="age",
        target_transform="zscore",
    ),
]
