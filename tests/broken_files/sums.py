"""Sums in tables: a column or a row that adds up all others, and tables that only look like it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import Case, Says, Spoil, case, content, note
from .good_study import COUNTS, FEATURES, SAMPLES, tsv_table
from .hdf5_tables import table
from .text_tables import document

FILE = "table.biom"
TOTAL = COUNTS.sum(1)
SUMS = COUNTS.sum(0)
REMEDY = "Remove this column"
FRACTIONS = COUNTS / TOTAL[:, None]


def hdf5(*rows: np.ndarray, names: tuple[str, ...], before: int = 0) -> Spoil:
    """The table with more samples, ``before`` of them first."""
    counts = np.vstack([*rows[:before], COUNTS, *rows[before:]])
    return table(counts, [*names[:before], *SAMPLES, *names[before:]])


def text(matrix: np.ndarray, names: list[str], decimals: int) -> str:
    """A table of fractions as text, samples in rows of ``matrix``."""
    rows = ["\t".join([name, *(f"{value:.{decimals}f}" for value in matrix[:, k])]) for k, name in enumerate(FEATURES)]
    return "\n".join(["\t".join(["#OTU ID", *names]), *rows]) + "\n"


def in_json(fields: dict[str, Any]) -> None:
    fields["columns"].append({"id": "all reads", "metadata": None})
    fields["shape"][1] += 1
    fields["data"] += [[k, len(SAMPLES), int(SUMS[k])] for k in range(len(FEATURES))]


def with_row(name: str) -> str:
    return tsv_table() + "\t".join([name, *map(str, TOTAL)]) + "\n"


CASES: list[Case] = [
    case("sum_in_hdf5", hdf5(SUMS, names=("Total",)), Says(FILE, "a sample is the sum", "", ("Total",), 1, REMEDY)),
    case(
        "sum_of_any_name", hdf5(SUMS, names=("x",), before=1), Says(FILE, "a sample is the sum", "", ("x",), 1, REMEDY)
    ),
    case("sum_in_json", document(in_json), Says(FILE, "a sample is the sum", "", ("all reads",), 1)),
    case(
        "sum_at_both_ends",
        hdf5(SUMS, SUMS, names=("left", "right"), before=1),
        Says(FILE, "are each the sum", "", ("left", "right"), 2),
    ),
    case(
        "sum_of_a_larger_table",
        hdf5(SUMS + np.arange(20), names=("Sum",)),
        Says(FILE, "a sample is the sum", "", ("Sum",), 1),
    ),
    case(
        "sum_of_fractions",
        content(FILE, text(np.vstack([FRACTIONS, FRACTIONS.sum(0)]), [*SAMPLES, "mean"], 4)),
        Says(FILE, "a sample is the sum", "", ("mean",), 1),
        relative_abundance=True,
        rarefy_depth=None,
        tree=None,
    ),
    case(
        "sum_of_features",
        content(FILE, with_row("Total")),
        Says(FILE, "a feature is the sum", "", ("Total",), 1, "Remove this row"),
    ),
    case(
        "no_sum_of_fractions",
        content(FILE, text(FRACTIONS, SAMPLES, 4)),
        note(FILE, "the table contains fractions"),
        relative_abundance=True,
        rarefy_depth=None,
    ),
    case(
        "no_sum_but_the_deepest_sample",
        hdf5(SUMS + np.arange(20), names=("deep",)),
        note("metadata.tsv", "1 of 17 samples"),
        missing_samples="ignore",
    ),
]
