"""Notes and warnings about the data, each with the code of its kind."""

from __future__ import annotations

from typing import Literal, Self

from aam_data.codes import CODES

NoteLevel = Literal["note", "warning"]


class Note(str):
    """A line that commands print about the data; it is text, so that whoever prints it needs to know nothing else.

    Warnings start with ``warning: ``, which ``problem`` is without.

    Attributes:
        code: the kind of note, one of `aam_data.codes.CODES`.
        problem: the sentence.
        level: a warning may make results worthless; a note reports what is done.
    """

    __slots__ = ("code", "level", "problem")

    code: str
    problem: str
    level: NoteLevel

    def __new__(cls, code: str, problem: str, level: NoteLevel = "note") -> Self:
        assert code in CODES, code
        note = super().__new__(cls, f"warning: {problem}" if level == "warning" else problem)
        note.code, note.problem, note.level = code, problem, level
        return note

    def __getnewargs__(self) -> tuple[str, str, NoteLevel]:  # type: ignore[override]
        """Return what ``copy`` and ``pickle`` make an equal note from."""
        return self.code, self.problem, self.level
