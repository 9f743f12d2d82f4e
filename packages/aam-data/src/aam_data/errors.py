"""Errors about what the user gave us: which file, where in it, which values, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SHOWN = 5  # offenders listed in a message; the count tells how many more there are


class DataError(ValueError):
    """Bad input. The message is one line and complete: file, place, problem, offenders, remedy.

    Args:
        problem: what is wrong, in the user's words.
        file: the file it is wrong in.
        place: where in the file (row, column, HDF5 path, archive member).
        offenders: the offending values or ids, all of them; the first five are shown with their count.
        remedy: what to do: a flag, a command, or "copy the file again".
    """

    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        place: str | None = None,
        offenders: Sequence[object] = (),
        remedy: str | None = None,
    ) -> None:
        self.problem, self.file, self.place, self.remedy = problem, file, place, remedy
        self.offenders = tuple(offenders)
        super().__init__(self._message())

    def _message(self) -> str:
        where = ": ".join(str(part) for part in (self.file, self.place) if part is not None)
        text = f"{where}: {self.problem}" if where else self.problem
        if self.offenders:
            text += f" ({first_few(self.offenders)})"
        return f"{text}. {self.remedy}" if self.remedy else text


def first_few(values: Sequence[object], limit: int = SHOWN) -> str:
    """``"a, b, c, d, e and 7 more"``: the first values and how many there are beyond them."""
    shown = ", ".join(str(value) for value in values[:limit])
    more = len(values) - limit
    return f"{shown} and {more:,} more" if more > 0 else shown
