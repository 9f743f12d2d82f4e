"""Errors in user input: the file, the place in it, the offending values and the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

from aam_data.codes import CODES

_P = ParamSpec("_P")
_T = TypeVar("_T")
_LINE_BREAK = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
MAX_SHOWN = 5  # offenders listed in a message; the others are counted
MAX_CHARACTERS = 60  # of a value of the user's that a message repeats
_KEPT = 24  # characters at either end of a longer value
_LONG_WORD = re.compile(r"[^\s/]{120,}")  # in a message; paths are left whole
_MAX_MESSAGE = 4000  # characters


class DataError(ValueError):
    """Bad input. The message is one line and complete: file, place, problem, offenders, remedy.

    Args:
        problem: what is wrong, in the user's words.
        code: the kind of fault, one of `aam_data.codes.CODES`.
        file: the affected file.
        place: location in the file (row, column, HDF5 path, archive member).
        offenders: all offending values or ids; the message shows the first five and counts the others.
        remedy: how to fix it: a flag, a command, or "copy the file again".
    """

    def __init__(
        self,
        problem: str,
        *,
        code: str,
        file: Path | str | None = None,
        place: str | None = None,
        offenders: Sequence[object] = (),
        remedy: str | None = None,
    ) -> None:
        assert code in CODES, code
        self.code = code
        self.problem, self.file, self.place, self.remedy = problem, file, place, remedy
        self.offenders = tuple(offenders)
        super().__init__(self._message())

    def _message(self) -> str:
        where = ": ".join(str(part) for part in (self.file, self.place) if part is not None)
        text = f"{where}: {self.problem}" if where else self.problem
        if self.offenders:
            text += f" ({first_few(self.offenders)})"
        return shortened(_one_line(f"{text}. {self.remedy}" if self.remedy else text))


class DataErrors(DataError):
    """Several independent problems; the message has one line for each."""

    def __init__(self, errors: Sequence[DataError]) -> None:
        self.errors = tuple(errors)
        super().__init__("", code=errors[0].code)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the single problems."""
        return tuple(error.code for error in self.errors)

    def _message(self) -> str:
        return "\n".join(map(str, self.errors))


class Problems:
    """Collector for the problems of independent steps, so that all of them are reported together."""

    def __init__(self) -> None:
        self.errors: list[DataError] = []

    def collect(self, step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        """Return the result of ``step``, or None if it raised a DataError, which is collected."""
        try:
            return step(*args, **kwargs)
        except DataError as error:
            self.errors += each_error(error)
            return None

    def raise_collected(self) -> None:
        """Raise the collected DataError, or DataErrors if there are several; do nothing if there are none."""
        if len(self.errors) > 1:
            raise DataErrors(self.errors)
        if self.errors:
            raise self.errors[0]


def each_error(error: DataError) -> tuple[DataError, ...]:
    """Return the single problems of an error."""
    return error.errors if isinstance(error, DataErrors) else (error,)


def first_few(values: Sequence[object], limit: int = MAX_SHOWN) -> str:
    """Format the first values and the number of the others: ``"a, b, c, d, e and 7 more"``."""
    text = ", ".join(shown(value) for value in values[:limit])
    more = len(values) - limit
    return f"{text} and {more:,} more" if more > 0 else text


def shown(value: object) -> str:
    """Format a value of the user's for a message; long ones are cut: ``"GAATTGC...TTGCAGA (400 characters)"``."""
    return _cut(str(value), "{}...{} ({:,} characters)")


def quoted(value: object) -> str:
    """Format a value like `shown`, as Python writes text: in quotes, with what is invisible escaped."""
    text = str(value)
    return repr(text) if len(text) <= MAX_CHARACTERS else _cut(text, "{!r}...{!r} ({:,} characters)")


def _cut(text: str, form: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else form.format(text[:_KEPT], text[-_KEPT:], len(text))


def shortened(message: str) -> str:
    """Cut words of a message that are longer than any name, and whatever makes it longer than a page."""
    message = _LONG_WORD.sub(lambda word: shown(word[0]), message)
    return (
        message
        if len(message) <= _MAX_MESSAGE
        else f"{message[: _MAX_MESSAGE // 2]} ... {message[-_MAX_MESSAGE // 2 :]}"
    )


def _one_line(text: str) -> str:
    """Escape line breaks, which quoted cells of a file may contain, as ``\\n``."""
    return _LINE_BREAK.sub(lambda match: ascii(match[0])[1:-1], text)


def printable(text: str) -> str:
    """Escape everything unprintable in ``text``: ids of input files may contain terminal codes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
