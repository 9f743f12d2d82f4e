"""Ids shared by two files, and why other ids do not match.

Nothing here changes an id: changes that would make ids match are only suggested.
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

_N_EXAMPLES = 3
_MAX_IDS_FOR_PAIRS = 50_000  # up to which two changes at once are tried, which takes a few seconds

# Common differences between ids of one study: the condition under which they match, and the change to both ids.
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
    """A change that would make ids match.

    Attributes:
        name: completes the sentence "they would match if ...".
        matches: number of wanted ids that would match exactly one available id.
        wanted: number of wanted ids.
        example: a wanted id and the available id that it would match.
    """

    name: str
    matches: int
    wanted: int
    example: tuple[str, str]

    def __str__(self) -> str:
        wanted, available = self.example
        return (
            f"{self.matches:,} of {self.wanted:,} ids would match if {self.name} (as in {wanted!r} and {available!r})"
        )


@dataclass(frozen=True)
class Overlap:
    """The ids of two files.

    Attributes:
        both: number of ids in both files.
        only_here, only_there: ids in only one of the files, in its order.
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
        """Suggest a change that would make the other ids match."""
        return closest_transformation(self.only_here, self.only_there)


def overlap_of(here: Collection[str], there: Collection[str]) -> Overlap:
    """Compare two collections of unique ids.

    Args:
        here: ids of the first collection.
        there: ids of the second one.

    Returns:
        The ids that both have, and those that only one has.

    Example:
        >>> overlap_of(["S1", "S2"], ["S2", "S3"]).n_here
        2
    """
    ids_here, ids_there = set(here), set(there)
    return Overlap(
        len(ids_here & ids_there),
        tuple(name for name in here if name not in ids_there),
        tuple(name for name in there if name not in ids_here),
    )


def closest_transformation(wanted_ids: Collection[str], available_ids: Collection[str]) -> Suggestion | None:
    """Find the change of spelling on both sides that makes most wanted ids match one available id each.

    Two changes at once are tried only if no single one makes any id match. Ids of one side that a change would make
    equal do not count as matches.

    Args:
        wanted_ids: unique ids to look for.
        available_ids: unique ids to match them with.

    Returns:
        The suggestion with most matches, None if nothing helps.

    Example:
        >>> str(closest_transformation(["S1", "S2"], ["s1", "x"]))
        "1 of 2 ids would match if upper and lower case were the same (as in 'S1' and 's1')"
    """
    single = [_suggest(wanted_ids, available_ids, name) for name in _TRANSFORMATIONS]
    suggestions = [suggestion for suggestion in single if suggestion is not None]
    if not suggestions and len(wanted_ids) + len(available_ids) <= _MAX_IDS_FOR_PAIRS:
        pairs = (_suggest(wanted_ids, available_ids, *names) for names in combinations(_TRANSFORMATIONS, 2))
        suggestions = [suggestion for suggestion in pairs if suggestion is not None]
    return max(suggestions, key=lambda suggestion: suggestion.matches, default=None)


def _suggest(wanted_ids: Collection[str], available_ids: Collection[str], *names: str) -> Suggestion | None:
    wanted, available = _changed(wanted_ids, names), _changed(available_ids, names)
    shared = [form for form in wanted if form in available]
    if not shared:
        return None
    return Suggestion(" and ".join(names), len(shared), len(wanted_ids), (wanted[shared[0]], available[shared[0]]))


def _changed(ids: Collection[str], names: tuple[str, ...]) -> dict[str, str]:
    """Map changed ids to the original ones, without ids that become equal."""
    forms = list(ids)
    for name in names:
        forms = list(map(_TRANSFORMATIONS[name], forms))
    times = Counter(forms)
    return {form: original for form, original in zip(forms, ids, strict=True) if times[form] == 1}


def check_not_disjoint(
    ids: Collection[str], other_ids: Collection[str], file: Path | str | None, what: str = "samples"
) -> None:
    """Check that the table and ``file`` share ids.

    Args:
        ids: ids of the table.
        other_ids: ids of the file.
        what: plural noun for the things that the ids name.

    Raises:
        DataError: no id is shared; the message shows three ids of each side and a change that would make them match.
    """
    if set(ids).isdisjoint(other_ids):
        suggestion = closest_transformation(ids, other_ids)
        raise DataError(
            f"contains none of the table's {what}; the table has {first_few(list(ids), _N_EXAMPLES)}; "
            f"this file has {first_few(list(other_ids), _N_EXAMPLES)}",
            file=file,
            remedy=str(suggestion) if suggestion else "Pass files of one study",
        )


def check_missing_samples(
    sample_ids: Collection[str], other_ids: Collection[str], file: Path, policy: Literal["error", "ignore"]
) -> list[str]:
    """Apply ``--missing-samples`` to samples of the table that ``file`` lacks.

    Returns:
        Notes with counts and examples of the samples that only one side has, and a change that would make them match.

    Raises:
        DataError: samples are missing and the policy is ``error``.
    """
    overlap = overlap_of(sample_ids, other_ids)
    missing, extra = overlap.only_here, overlap.only_there
    counts = f"{len(missing):,} of {overlap.n_here:,} samples of the table are not in {file.name}"
    suggestion = overlap.suggestion()
    if missing and policy == "error":
        remedy = "Add them, or continue without their values: --missing-samples ignore"
        raise DataError(
            counts, file=file, offenders=missing, remedy=f"{suggestion}. {remedy}" if suggestion else remedy
        )
    notes = [f"{counts} ({first_few(missing, _N_EXAMPLES)})"] if missing else []
    if extra:
        names = first_few(extra, _N_EXAMPLES)
        notes.append(f"{len(extra):,} of {overlap.n_there:,} samples of {file.name} are not in the table ({names})")
    if suggestion:
        notes.append(f"warning: of these, {suggestion}")
    return notes
