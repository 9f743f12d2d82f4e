"""Findings of a check, on three levels, for a table or JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from aam_data.errors import MAX_SHOWN, DataError, first_few
from aam_data.notes import Note

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One finding of a check.

    Attributes:
        code: kind of the finding, one of `aam_data.codes.CODES`; it stays the same when the text changes.
        level: an error stops every command; a warning may make results worthless; a note reports what will be done.
        problem: description, without the place.
        file: the file, as it was passed.
        place: location in the file.
        offenders: the first offending values or ids.
        count: number of all offenders.
        remedy: how to fix it.
    """

    code: str
    level: Level
    problem: str
    file: str | None = None
    place: str | None = None
    offenders: tuple[str, ...] = ()
    count: int = 0
    remedy: str | None = None

    @classmethod
    def from_error(cls, error: DataError) -> Self:
        """Convert an error, which stops every command."""
        return cls(
            error.code,
            "error",
            error.problem,
            None if error.file is None else str(error.file),
            error.place,
            tuple(str(value) for value in error.offenders[:MAX_SHOWN]),
            len(error.offenders),
            error.remedy,
        )

    @classmethod
    def from_note(cls, note: Note) -> Self:
        """Convert a note or warning that a command would print."""
        return cls(note.code, note.level, note.problem)

    @property
    def where(self) -> str:
        """File and place, or an empty string."""
        return ": ".join(part for part in (self.file, self.place) if part)

    @property
    def text(self) -> str:
        """The problem with its first offenders."""
        if not self.offenders:
            return self.problem
        more = [""] * (self.count - len(self.offenders))
        return f"{self.problem} ({first_few([*self.offenders, *more])})"

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can store."""
        return {**asdict(self), "offenders": list(self.offenders)}


@dataclass(frozen=True)
class Report:
    """Result of a check.

    Attributes:
        facts: names and values that describe the files.
        findings: errors first, then warnings, then notes.
    """

    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]

    def count(self, level: str) -> int:
        """Return the number of findings of a level."""
        return sum(finding.level == level for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can store."""
        return {"facts": dict(self.facts), "findings": [finding.to_dict() for finding in self.findings]}
