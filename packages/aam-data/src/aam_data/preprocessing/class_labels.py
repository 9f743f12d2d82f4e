"""Names of classes and their codes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np

from aam_data.errors import DataError, quoted
from aam_data.notes import Note
from aam_data.spelling import several_spellings

_MIN_CLASS_SIZE = 2  # one sample to learn from and one to evaluate
_MAX_NUMBERS = 20  # classes that are all numbers; codes of classes are fewer
_MIN_NUMBERS = 0.9  # share of the classes of a column of numbers
_NUMBER = re.compile(r"[-+]?(\d*\.\d+|\d+\.?)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class ClassLabels:
    """Classes of a target; the code of a class is its position in ``names``."""

    names: tuple[str, ...]

    @classmethod
    def fit(cls, values: np.ndarray, column: str, file: Path | None = None) -> Self:
        """Fit the classes of training samples, sorted by name.

        Args:
            values: [B] str or None (missing).
            column: the target's name, for messages.
            file: where the values are from, for messages.

        Raises:
            DataError: fewer than two classes.
        """
        names, _ = _classes(values)
        _check_several(names, "training samples", column, file)
        return cls(tuple(names))

    def encode(
        self,
        values: np.ndarray,
        column: str,
        file: Path | None = None,
        *,
        unseen: Literal["error", "missing"] = "error",
    ) -> np.ndarray:
        """Encode classes as float64 [B], NaN where missing.

        Args:
            values: [B] str or None (missing).
            column: the target's name, for messages.
            file: where the values are from, for messages.
            unseen: whether classes without training samples are an error or count as missing.

        Raises:
            DataError: unseen classes, unless they count as missing.
        """
        number = {name: float(code) for code, name in enumerate(self.names)}
        names, counts = _classes(values)
        new = [f"{name}: {n:,}" for name, n in zip(names, counts, strict=True) if name not in number]
        if new and unseen == "error":
            raise DataError(
                "classes that no training sample has",
                code="target-classes-unknown",
                file=file,
                place=f"column {column}",
                offenders=new,
                remedy="Mark them as missing with --na-value, or split the samples in another way",
            )
        return np.array([number.get(value, np.nan) for value in values], dtype=np.float64)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return the names, an object array, of class codes (integers of any shape)."""
        return np.array(self.names, dtype=object)[codes]


def check_classes(values: np.ndarray, column: str, file: Path | None = None) -> None:
    """Check, before samples are split, that a target has at least two classes with at least two samples each.

    Args:
        values: [B] str or None (missing) of all samples that can be used.
        column: the target's name, for messages.
        file: where the values are from, for messages.

    Raises:
        DataError: there is only one class, or a class has only one sample.
    """
    names, counts = _classes(values)
    _check_several(names, "samples", column, file)
    rare = [name for name, n in zip(names, counts, strict=True) if n < _MIN_CLASS_SIZE]
    if rare:
        remedy = "Merge them with other classes in the metadata, or mark them as missing with --na-value"
        same = [each for each in several_spellings(names) if not set(each).isdisjoint(rare)]
        if same:
            examples = " and ".join(map(quoted, same[0]))
            remedy = f"Some differ from others in spelling only, as {examples}: write them in one way. {remedy}"
        elif _are_numbers(names):
            remedy = f"These {len(names):,} classes are numbers: leave out --classifier to predict the number"
        problem = "classes with a single sample cannot be learned and tested"
        raise DataError(
            problem, code="target-rare-classes", file=file, place=f"column {column}", offenders=rare, remedy=remedy
        )


def number_notes(values: np.ndarray, column: str) -> list[Note]:
    """Return a warning if the classes of a target are many different numbers."""
    names, _ = _classes(values)
    if len(names) <= _MAX_NUMBERS or not _are_numbers(names):
        return []
    text = f"the {len(names):,} classes of {column} are numbers; leave out --classifier to predict the number"
    return [Note("target-classes-are-numbers", text, "warning")]


def _are_numbers(names: list[str]) -> bool:
    """Return whether names are numbers, all but those of a few missing or censored values."""
    numbers = sum(_NUMBER.fullmatch(name) is not None for name in names)
    return len(names) > 2 and numbers >= _MIN_NUMBERS * len(names)


def _classes(values: np.ndarray) -> tuple[list[str], list[int]]:
    present = np.array([value for value in values if value is not None], dtype=object)
    names, counts = np.unique(present, return_counts=True)
    return names.tolist(), counts.tolist()


def _check_several(names: list[str], whose: str, column: str, file: Path | None) -> None:
    if len(names) < 2:
        problem = f"the only class of the {whose} is {names[0]}" if names else f"the {whose} have no class"
        remedy = "Choose another --metadata-column"
        raise DataError(problem, code="target-too-few-classes", file=file, place=f"column {column}", remedy=remedy)
