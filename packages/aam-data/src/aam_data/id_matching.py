"""Which ids two files share, and if some do not match, why not.

Nothing here changes an id: what would make ids match is only ever suggested.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from aam_data.errors import DataError, first_few

_EXAMPLES = 3
_MOST_FOR_PAIRS = 50_000  # ids up to which two changes at once are tried; a few seconds

# How ids commonly differ between files of one study: what would have to be, and the form in which ids are then equal.
_TRANSFORMATIONS: dict[str, Callable[[str], str]] = {
    "blanks around the ids were removed": str.strip,
    "upper and lower case were the same": str.lower,
    "Qiita's study prefix (such as 2538.) were removed": lambda name: re.sub(r"^\d+\.(?=.)", "", name),
    "- and _ and . and blanks were the same": lambda name: re.sub(r"[-_.\s]", "-", name),
    "leading zeros were removed": lambda name: re.sub(r"(?<!\d)0+(?=\d)", "", name),
    "a trailing .0 were removed": lambda name: re.sub(r"\.0+$", "", name),
    "the X that R puts before digits were removed": lambda name: re.sub(r"^X(?=\d)", "", name),
    "annotations after a semicolon (such as ;size=12) were removed": lambda name: name.partition(";")[0],
    "Illumina's ending (such as _S1_L001_R1_001.fastq.gz) were removed": lambda name: re.sub(
        r"(_S\d+)?(_L\d{3})?(_R[12])?(_001)?(\.(fastq|fq)(\.gz)?)?$", "", name
    ),
}


@dataclass(frozen=True)
class Suggestion:
    """What would make ids match.

    Attributes:
        name: completes the sentence "they would match if ...".
        matches: how many of the wanted ids would match exactly one found id.
        wanted: how many ids were wanted.
        example: a wanted id and the found one that it would match.
    """

    name: str
    matches: int
    wanted: int
    example: tuple[str, str]

    def __str__(self) -> str:
        ours, theirs = self.example
        return f"{self.matches:,} of {self.wanted:,} ids would match if {self.name} (as in {ours!r} and {theirs!r})"


@dataclass(frozen=True)
class Overlap:
    """The ids of two files.

    Attributes:
        both: how many ids are in both.
        only_here, only_there: ids that one file lacks, in the other's order.
    """

    both: int
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]

    @property
    def n_here(self) -> int:
        return self.both + len(self.only_here)

    @property
    def n_there(self) -> int:
        return self.both + len(self.only_there)

    def suggestion(self) -> Suggestion | None:
        """What would make ids match that do not."""
        return closest_transformation(self.only_here, self.only_there)


def overlap_of(here: Collection[str], there: Collection[str]) -> Overlap:
    """Compare two collections of unique ids."""
    ours, theirs = set(here), set(there)
    return Overlap(
        len(ours & theirs),
        tuple(name for name in here if name not in theirs),
        tuple(name for name in there if name not in ours),
    )


def closest_transformation(wanted_ids: Collection[str], found_ids: Collection[str]) -> Suggestion | None:
    """The change of spelling on both sides that makes most of the wanted ids match one found id each.

    Two changes at once are tried only if no single one makes any id match. Changes that would make ids of one side
    equal to each other do not count as matches. None if nothing helps.
    """
    single = [_suggest(wanted_ids, found_ids, name) for name in _TRANSFORMATIONS]
    suggestions = [suggestion for suggestion in single if suggestion is not None]
    if not suggestions and len(wanted_ids) + len(found_ids) <= _MOST_FOR_PAIRS:
        pairs = (_suggest(wanted_ids, found_ids, *names) for names in combinations(_TRANSFORMATIONS, 2))
        suggestions = [suggestion for suggestion in pairs if suggestion is not None]
    return max(suggestions, key=lambda suggestion: suggestion.matches, default=None)


def _suggest(wanted_ids: Collection[str], found_ids: Collection[str], *names: str) -> Suggestion | None:
    wanted, found = _changed(wanted_ids, names), _changed(found_ids, names)
    shared = [form for form in wanted if form in found]
    if not shared:
        return None
    return Suggestion(" and ".join(names), len(shared), len(wanted_ids), (wanted[shared[0]], found[shared[0]]))


def _changed(ids: Collection[str], names: tuple[str, ...]) -> dict[str, str]:
    """Ids by the form that the changes give them, without those that become equal."""
    forms = list(ids)
    for name in names:
        forms = list(map(_TRANSFORMATIONS[name], forms))
    times = Counter(forms)
    return {form: original for form, original in zip(forms, ids, strict=True) if times[form] == 1}


def refuse_disjoint(
    ids: Collection[str], other_ids: Collection[str], file: Path | str | None, what: str = "samples"
) -> None:
    """Raise DataError when none of the table's ids is in ``file``.

    The message has three ids of each side and what would make them match.

    Args:
        ids: of the table.
        other_ids: of the file.
        what: what the ids name.
    """
    if set(ids).isdisjoint(other_ids):
        suggestion = closest_transformation(ids, other_ids)
        raise DataError(
            f"holds none of the table's {what}; the table has {first_few(list(ids), _EXAMPLES)}; "
            f"this file has {first_few(list(other_ids), _EXAMPLES)}",
            file=file,
            remedy=str(suggestion) if suggestion else "Give the files of one study",
        )


def check_missing(
    sample_ids: Collection[str], other_ids: Collection[str], file: Path, policy: Literal["error", "ignore"]
) -> list[str]:
    """Apply ``--missing-samples`` to samples of the table that ``file`` lacks.

    Returns:
        Sentences with counts and examples of the samples that only one side has, and what would make them match.

    Raises:
        DataError: samples are missing and the policy is ``error``.
    """
    overlap = overlap_of(sample_ids, other_ids)
    missing, extra = overlap.only_here, overlap.only_there
    counts = f"{len(missing):,} of {overlap.n_here:,} samples of the table are not in {file.name}"
    suggestion = overlap.suggestion()
    if missing and policy == "error":
        remedy = "Add them, or go on without their values: --missing-samples ignore"
        raise DataError(
            counts, file=file, offenders=missing, remedy=f"{suggestion}. {remedy}" if suggestion else remedy
        )
    notes = [f"{counts} ({first_few(missing, _EXAMPLES)})"] if missing else []
    if extra:
        names = first_few(extra, _EXAMPLES)
        notes.append(f"{len(extra):,} of {overlap.n_there:,} samples of {file.name} are not in the table ({names})")
    if suggestion:
        notes.append(f"warning: of these, {suggestion}")
    return notes
