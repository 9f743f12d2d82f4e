"""What a case of the corpus is: how files are broken, and what has to be said about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Spoil = Callable[[Path], object]  # breaks files in a folder with a copy of the good study


@dataclass(frozen=True)
class Says:
    """What one finding has to say. Texts are parts of the real ones; the empty text is not looked for.

    Attributes:
        file: name of the file in the folder of the study.
        problem: holds the count where the number of offenders does not tell it.
        offenders: the first of them, in their order.
        count: all of them, where the finding counts them.
        remedy: holds the flag or the command that helps.
    """

    file: str
    problem: str
    place: str = ""
    offenders: tuple[str, ...] = ()
    count: int | None = None
    remedy: str = ""
    level: Literal["error", "warning", "note"] = "error"


@dataclass(frozen=True)
class Case:
    """One way in which files are wrong, or unusual and yet accepted.

    Attributes:
        name: identifies the case.
        spoil: breaks the files.
        says: the findings that must be there; a case is refused if one of them is an error.
        options: of `aam check`, besides or in place of ``OPTIONS``; None leaves one out, True is a flag without a
            value, a tuple repeats it. Values that name a file of the folder become its path.
    """

    name: str
    spoil: Spoil
    says: tuple[Says, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The exit status of the program."""
        return 2 if any(says.level == "error" for says in self.says) else 0

    def arguments(self, folder: Path) -> list[str]:
        """The command line of `aam check` for the files in ``folder``."""
        words = ["check"]
        for flag, value in {**OPTIONS, **self.options}.items():
            for one in value if isinstance(value, tuple) else (value,):
                if one is not None:
                    words += [flag] if one is True else [flag, _path_or_text(flag, one, folder)]
        return words


OPTIONS: dict[str, Any] = {
    "--table": "table.biom",
    "--metadata": "metadata.tsv",
    "--tree": "tree.nwk",
    "--group-column": "host",
    "--rarefy-depth": 100,
}
MATRIX = {"--tree": None, "--unifrac-matrix": "distances.tsv"}  # in place of the tree
_FILES = {
    *("--table", "--sequences", "--metadata", "--tree", "--unifrac-matrix", "--matrix-ids"),
    *("--train-samples", "--val-samples", "--test-samples"),
}


def case(name: str, spoil: Spoil, *says: Says, **options: Any) -> Case:
    """A case; ``na_value="x"`` stands for ``--na-value x``. Without ``says`` it is accepted without a word."""
    return Case(name, spoil, says, {f"--{key.replace('_', '-')}": value for key, value in options.items()})


def note(file: str, problem: str, level: Literal["note", "warning"] = "note") -> Says:
    """A finding that refuses nothing."""
    return Says(file, problem, level=level)


def content(name: str, text: str | bytes) -> Spoil:
    """A file with this content in place of the good one."""

    def spoil(folder: Path) -> None:
        path = folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    return spoil


def edited(name: str, edit: Callable[[bytes], bytes]) -> Spoil:
    """A file whose bytes are edited."""
    return lambda folder: content(name, edit((folder / name).read_bytes()))(folder)


def replaced(name: str, old: str, new: str, count: int = 1) -> Spoil:
    """A text file in which ``old``, which must be there, became ``new``."""

    def edit(text: bytes) -> bytes:
        assert old.encode() in text, (name, old)
        return text.replace(old.encode(), new.encode(), count)

    return edited(name, edit)


def both(*spoils: Spoil) -> Spoil:
    """One after the other."""

    def spoil(folder: Path) -> None:
        for one in spoils:
            one(folder)

    return spoil


def _path_or_text(flag: str, value: Any, folder: Path) -> str:
    return str(folder / value) if flag in _FILES else str(value)
