"""Numeric codes of metadata categories, fitted on training samples; 0 for all other values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from aam_data.checked_json import strict_fields
from aam_data.errors import DataError, first_few
from aam_data.id_matching import closest_transformation
from aam_data.notes import Note
from aam_data.spelling import are_different_numbers

if TYPE_CHECKING:
    from aam_data.readers.metadata.metadata import Metadata

UNKNOWN = 0  # missing, or not among the training samples


@dataclass(frozen=True)
class CategoryCodes:
    """Codes of the categories of samples.

    Attributes:
        codes: int64 [B, C]: 0 = unknown, k = the k-th category of the column.
        notes: warnings about values that no training sample has.
    """

    codes: np.ndarray
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class CategoryCodec:
    """Categories of C columns.

    Attributes:
        columns: metadata columns.
        names: categories of each column, sorted; the code of the k-th is k, from 1.
        counts: number of training samples of each category.
    """

    columns: tuple[str, ...] = ()
    names: tuple[tuple[str, ...], ...] = ()
    counts: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        ordered = all(list(names) == sorted(set(names)) and names for names in self.names)
        if len(self.columns) != len(self.names) or len({*self.columns}) != len(self.columns) or not ordered:
            raise DataError(
                "categories must be sorted and distinct, and belong to distinct columns", code="model-inconsistent"
            )
        if [len(counts) for counts in self.counts] != [len(names) for names in self.names]:
            raise DataError("each category must have a number of training samples", code="model-inconsistent")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each column, including the unknown: K + 1."""
        return tuple(len(names) + 1 for names in self.names)

    @classmethod
    def fit(cls, metadata: Metadata, rows: np.ndarray, columns: Sequence[str]) -> Self:
        """Fit the categories of the training samples ``rows``.

        Raises:
            DataError: a column is absent, or has no value among the training samples.
        """
        names, counts = [], []
        for column in columns:
            present = Counter(value for value in metadata.text(column)[rows] if value is not None)
            if not present:
                problem = "no training sample has a value"
                raise DataError(
                    problem,
                    code="metadata-no-values",
                    file=metadata.path,
                    place=f"column {column}",
                    remedy="Choose another column",
                )
            names.append(tuple(sorted(present)))
            counts.append(tuple(present[name] for name in names[-1]))
        return cls(tuple(columns), tuple(names), tuple(counts))

    def apply(self, metadata: Metadata, unseen: Literal["error", "unknown"] = "unknown") -> CategoryCodes:
        """Encode the categories of samples.

        Args:
            metadata: metadata of B samples.
            unseen: whether values that no training sample has count as unknown, with a warning, or are an error.

        Raises:
            DataError: a column is absent, or unseen values are an error.
        """
        codes = np.zeros((len(metadata.sample_ids), len(self.columns)), dtype=np.int64)
        notes = []
        for c, (column, names) in enumerate(zip(self.columns, self.names, strict=True)):
            values = metadata.text(column)
            number = {name: k for k, name in enumerate(names, 1)}
            codes[:, c] = [number.get(value, UNKNOWN) for value in values]
            new = Counter(value for value in values if value is not None and value not in number)
            if not new:
                continue
            shown = [f"{name}: {n:,}" for name, n in sorted(new.items())]
            if unseen == "error":
                raise DataError(
                    "categories that no training sample has",
                    code="categories-unknown",
                    file=metadata.path,
                    place=f"column {column}",
                    offenders=shown,
                    remedy="Mark them as missing with --na-value",
                )
            text = (
                f"{column}: {new.total():,} of {len(values):,} samples have categories that no training "
                f"sample has, so the model treats them as unknown ({first_few(shown)})"
            )
            suggestion = closest_transformation(new, names)
            if suggestion is not None and not are_different_numbers(*suggestion.example):
                text += f". {suggestion.sentence('categories')}"
            notes.append(Note("categories-unknown", text, "warning"))
        return CategoryCodes(codes, tuple(notes))

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can store."""
        names, counts = map(list, self.names), map(list, self.counts)
        return {"columns": list(self.columns), "names": [*names], "counts": [*counts]}

    @classmethod
    def from_dict(cls, values: object, place: str = "categories") -> Self:
        """Restore what ``to_dict`` returned. Raises DataError for anything else."""
        checked = strict_fields(values, {"columns": list, "names": list, "counts": list}, place)
        columns, names, counts = checked["columns"], checked["names"], checked["counts"]
        lists = all(isinstance(each, list) for each in (*names, *counts))
        if not lists or not all(isinstance(text, str) for texts in (columns, *names) for text in texts):
            raise DataError("columns and categories must be strings", code="model-inconsistent", place=place)
        if not all(type(count) is int and count > 0 for each in counts for count in each):
            raise DataError("numbers of training samples must be above 0", code="model-inconsistent", place=place)
        return cls(tuple(columns), tuple(map(tuple, names)), tuple(map(tuple, counts)))
