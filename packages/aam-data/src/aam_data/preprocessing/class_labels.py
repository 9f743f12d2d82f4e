"""Names of classes and their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np

from aam_data.errors import DataError

_FEWEST = 2  # samples of a class: one to learn from and one to judge by


@dataclass(frozen=True)
class ClassLabels:
    """The classes of a target; the number of a class is its place in ``names``."""

    names: tuple[str, ...]

    @classmethod
    def fit(cls, values: np.ndarray, column: str, file: Path | None = None) -> Self:
        """The classes of training samples, sorted by name.

        Args:
            values: [B] str or None (missing).
            column: the target's name, for messages.
            file: where the values are from, for messages.

        Raises:
            DataError: fewer than two classes.
        """
        names, _ = _classes(values)
        _refuse_single(names, "training samples", column, file)
        return cls(tuple(names))

    def encode(
        self,
        values: np.ndarray,
        column: str,
        file: Path | None = None,
        *,
        unseen: Literal["error", "missing"] = "error",
    ) -> np.ndarray:
        """Class numbers, float64 [B], NaN where missing.

        Args:
            values: [B] str or None (missing).
            column: the target's name, for messages.
            file: where the values are from, for messages.
            unseen: what to do with classes that no training sample had: refuse them, or take them as missing.

        Raises:
            DataError: unseen classes, unless they are taken as missing.
        """
        number = {name: float(code) for code, name in enumerate(self.names)}
        names, counts = _classes(values)
        new = [f"{name}: {n:,}" for name, n in zip(names, counts, strict=True) if name not in number]
        if new and unseen == "error":
            raise DataError(
                "classes that no training sample has",
                file=file,
                place=f"column {column}",
                offenders=new,
                remedy="Take them as missing with --na-value, or divide the samples in another way",
            )
        return np.array([number.get(value, np.nan) for value in values], dtype=np.float64)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Names, object array, of class numbers (integers of any shape)."""
        return np.array(self.names, dtype=object)[codes]


def check_classes(values: np.ndarray, column: str, file: Path | None = None) -> None:
    """Refuse a target that cannot be classified, before samples are divided.

    The rule: at least two classes, each with at least two samples.

    Args:
        values: [B] str or None (missing) of all samples that can be used.
        column: the target's name, for messages.
        file: where the values are from, for messages.

    Raises:
        DataError: the rule is broken.
    """
    names, counts = _classes(values)
    _refuse_single(names, "samples", column, file)
    rare = [name for name, n in zip(names, counts, strict=True) if n < _FEWEST]
    if rare:
        raise DataError(
            "classes with a single sample cannot be learned and tested",
            file=file,
            place=f"column {column}",
            offenders=rare,
            remedy="Join them with other classes in the metadata, or take them as missing with --na-value",
        )


def _classes(values: np.ndarray) -> tuple[list[str], list[int]]:
    present = np.array([value for value in values if value is not None], dtype=object)
    names, counts = np.unique(present, return_counts=True)
    return names.tolist(), counts.tolist()


def _refuse_single(names: list[str], whose: str, column: str, file: Path | None) -> None:
    if len(names) < 2:
        found = f"the only class is {names[0]}" if names else "no class is given"
        remedy = "Choose another --metadata-column"
        raise DataError(f"{found} among the {whose}", file=file, place=f"column {column}", remedy=remedy)
