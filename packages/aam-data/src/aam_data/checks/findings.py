"""What a check of files tells: findings of three levels, ready for a table or JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from aam_data.errors import MAX_SHOWN, DataError, first_few

Level = Literal["error", "warning", "note"]
_WARNING = "warning: "


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        level: an error stops every command; a warning may make results worthless; a note says what will be done.
        problem: what it is, without the place.
        file: the file, as it was given.
        place: where in the file.
        offenders: the first values or ids that are concerned.
        count: how many there are in all.
        remedy: what to do.
    """

    level: Level
    problem: str
    file: str | None = None
    place: str | None = None
    offenders: tuple[str, ...] = ()
    count: int = 0
    remedy: str | None = None

    @classmethod
    def from_error(cls, error: DataError) -> Self:
        """A finding that stops every command."""
        return cls(
            "error",
            error.problem,
            None if error.file is None else str(error.file),
            error.place,
            tuple(str(value) for value in error.offenders[:MAX_SHOWN]),
            len(error.offenders),
            error.remedy,
        )

    @classmethod
    def from_note(cls, note: str) -> Self:
        """A sentence that a command would print; ``warning: `` at its start makes it a warning."""
        if note.startswith(_WARNING):
            return cls("warning", note.removeprefix(_WARNING))
        return cls("note", note)

    @property
    def where(self) -> str:
        """File and place, or nothing."""
        return ": ".join(part for part in (self.file, self.place) if part)

    @property
    def text(self) -> str:
        """The problem with its first offenders."""
        if not self.offenders:
            return self.problem
        more = [""] * (self.count - len(self.offenders))
        return f"{self.problem} ({first_few([*self.offenders, *more])})"

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "offenders": list(self.offenders)}
