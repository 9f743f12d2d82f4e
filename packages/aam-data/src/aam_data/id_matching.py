"""Ids shared by two files, and why other ids do not match.

Nothing here changes an id: changes that would make ids match are only suggested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aam_data.errors import DataError, first_few, quoted
from aam_data.id_changes import IdChange, changes
from aam_data.notes import Note
from aam_data.spelling import hidden_difference

_N_EXAMPLES = 3
_MAX_IDS_FOR_PAIRS = 100_000  # up to which two changes at once are tried, which takes a few seconds


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
        return self.sentence("ids")

    def sentence(self, what: str) -> str:
        """Return the suggestion with a plural noun for what it compares."""
        example = " and ".join(map(quoted, self.example))
        if hidden := hidden_difference(*self.example):
            example += f": {hidden}"
        return f"{self.matches:,} of {self.wanted:,} {what} would match if {self.name} (as in {example})"


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
    wanted, available = _Forms.of(wanted_ids), _Forms.of(available_ids)
    tried = changes(wanted.ids, available.ids) if wanted.ids and available.ids else []
    pairs = [(change, wanted.changed(change, "wanted"), available.changed(change, "available")) for change in tried]
    single = [_suggest((change.name,), here, there) for change, here, there in pairs]
    suggestions = [suggestion for suggestion in single if suggestion is not None]
    if not suggestions and len(wanted_ids) + len(available_ids) <= _MAX_IDS_FOR_PAIRS:
        suggestions = list(_pairs_of_changes(wanted, available, pairs))
    return max(suggestions, key=lambda suggestion: suggestion.matches, default=None)


@dataclass(frozen=True)
class _Forms:
    """Ids and what changes have made of them.

    Attributes:
        ids: the ids.
        forms: the changed ids, in the same order; the same list as ``ids`` if nothing was changed.
    """

    ids: list[str]
    forms: list[str]

    @classmethod
    def of(cls, ids: Collection[str]) -> _Forms:
        known = list(ids)
        return cls(known, known)

    def changed(self, change: IdChange, side: Literal["wanted", "available"]) -> _Forms:
        """Apply a change, if it is one of this side; the same object if it changes nothing."""
        if change.sides not in ("both", side):
            return self
        forms = list(map(change.change, self.forms))
        return self if forms == self.forms else _Forms(self.ids, forms)

    def unique(self) -> dict[str, str]:
        """Map changed ids to the original ones, without ids that became equal."""
        times = Counter(self.forms)
        return {form: original for form, original in zip(self.forms, self.ids, strict=True) if times[form] == 1}


def _pairs_of_changes(
    wanted: _Forms, available: _Forms, single: Sequence[tuple[IdChange, _Forms, _Forms]]
) -> Iterator[Suggestion]:
    """Yield suggestions of two changes; the first of them must change an id, and the second one of its results."""
    active = [here is not wanted or there is not available for _, here, there in single]
    for number, (first, here, there) in enumerate(single):
        for position, (second, _, _) in enumerate(single):
            tried = position < number and active[position] and first.sides == "both"  # in the other order
            if not active[number] or position == number or tried or not second.may_follow(first):
                continue
            both = here.changed(second, "wanted"), there.changed(second, "available")
            if both[0] is here and both[1] is there:
                continue
            names = (first.name, second.name) if number < position else (second.name, first.name)
            if (suggestion := _suggest(names, *both)) is not None:
                yield suggestion


def _suggest(names: tuple[str, ...], wanted: _Forms, available: _Forms) -> Suggestion | None:
    if set(wanted.forms).isdisjoint(available.forms):
        return None
    here, there = wanted.unique(), available.unique()
    shared = [form for form in here if form in there]
    if not shared:
        return None
    return Suggestion(" and ".join(names), len(shared), len(wanted.ids), (here[shared[0]], there[shared[0]]))


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
            code="ids-do-not-match",
            file=file,
            remedy=str(suggestion) if suggestion else "Pass files of one study",
        )


def check_missing_samples(
    sample_ids: Collection[str], other_ids: Collection[str], file: Path, policy: Literal["error", "ignore"]
) -> list[Note]:
    """Apply ``--missing-samples`` to samples of the table that ``file`` lacks.

    Returns:
        Notes with counts and examples of the samples that only one side has, and a change that would make them match.

    Raises:
        DataError: samples are missing and the policy is ``error``.
    """
    overlap = overlap_of(sample_ids, other_ids)
    missing, extra = overlap.only_here, overlap.only_there
    counts = f"{len(missing):,} of {overlap.n_here:,} samples of the table are not in {file.name}"
    if missing and policy == "error":
        suggestion = overlap.suggestion()
        remedy = "Add them, or continue without their values: --missing-samples ignore"
        raise DataError(
            counts,
            code="ids-missing",
            file=file,
            offenders=missing,
            remedy=f"{suggestion}. {remedy}" if suggestion else remedy,
        )
    notes = [Note("ids-missing", f"{counts} ({first_few(missing, _N_EXAMPLES)})")] if missing else []
    if extra:
        names = first_few(extra, _N_EXAMPLES)
        what = f"{len(extra):,} of {overlap.n_there:,} samples of {file.name} are not in the table ({names})"
        notes.append(Note("ids-unused", what))
    return notes + suggestion_notes(overlap.suggestion())


def suggestion_notes(suggestion: Suggestion | None) -> list[Note]:
    """Return a warning that follows a note on ids without a match, if a change would make them match."""
    return [Note("ids-nearly-match", f"of these, {suggestion}", "warning")] if suggestion else []
