"""Changes of spelling that programs make to ids: what `id_matching` tries in order to explain why ids do not match."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import takewhile
from string import ascii_uppercase, whitespace
from typing import Literal, NamedTuple

from aam_data.errors import quoted
from aam_data.spelling import (
    compatible,
    composed,
    plain,
    with_hyphens,
    with_latin,
    with_plain_blanks,
    without_invisible,
    without_quotes,
)

Change = Callable[[str], str]
_DNA = re.compile(r"[ACGTUNRYKMSWBDHV]{20,}", re.IGNORECASE)
_COMPLEMENT = str.maketrans("ACGTURYKMSWBDHVN", "TGCAAYRMKSWVHDBN")
_ENDING = re.compile(
    r"\.(fastq|fq|fasta|fas|fa|fna|faa|ffn|sff|bam|sam|cram|txt|tsv|csv|biom|qza|tar|zip)(\.(gz|bz2|xz|zst|zip))?$",
    re.IGNORECASE,
)
_ILLUMINA = re.compile(r"(?=[_.])(_S\d+)?(_L\d{3})?(_R[12])?(_001)?(\.(fastq|fq)(\.gz)?)?$")
_SEPARATOR = re.compile(r"[\W_]")
_MAX_ENDS = 3  # tried at either end
_NOT_ASCII = "\u0080"  # for any character beyond ASCII


class IdChange(NamedTuple):
    """A change of spelling.

    Attributes:
        name: completes the sentence "they would match if ...".
        change: the change of one id.
        sides: the ids that are changed: those that are wanted, those that are available, or both.
        removes_start: whether it removes the beginning of ids.
    """

    name: str
    change: Change
    sides: Literal["both", "wanted", "available"] = "both"
    removes_start: bool = False

    def may_follow(self, other: IdChange) -> bool:
        """Return whether both together explain anything: two sides that lose a part each leave numbers, which match."""
        sides = {self.sides, other.sides}
        starts = self.removes_start and other.removes_start and sides != {"both"}
        return sides != {"wanted", "available"} and not starts


def _sub(pattern: str, replacement: str = "") -> Change:
    compiled = re.compile(pattern)
    return lambda name: compiled.sub(replacement, name)


def _one_strand(name: str) -> str:
    """Return a sequence or its reverse complement, whichever comes first; other ids as they are."""
    if _DNA.fullmatch(name) is None:
        return name
    sequence = name.upper().replace("U", "T")
    return min(sequence, sequence.translate(_COMPLEMENT)[::-1])


_QIITA_PREFIX = "Qiita's study prefix (such as 2538.) were removed"
_R_PREFIX = "the X that R puts before digits were removed"
# Each change, and the characters without which it changes no ASCII text (empty: it may change any).
_EVERYWHERE: dict[str, tuple[Change, str]] = {
    "blanks around the ids were removed": (str.strip, whitespace),
    "upper and lower case were the same": (str.lower, ascii_uppercase),
    "accented letters were written in one way (Unicode NFC)": (composed, _NOT_ASCII),
    "invisible characters were removed": (without_invisible, _NOT_ASCII),
    "all kinds of blanks were the same": (with_plain_blanks, whitespace),
    "letters of full width, ligatures and the like were plain letters (Unicode NFKC)": (compatible, _NOT_ASCII),
    "all dashes were the same": (with_hyphens, _NOT_ASCII),
    "Greek and Cyrillic letters were the Latin ones that they look like": (with_latin, _NOT_ASCII),
    _QIITA_PREFIX: (_sub(r"^\d+\.(?=.)"), "."),
    "- and _ and . and blanks were the same": (_sub(r"[-_.\s]", "-"), "_." + whitespace),
    "leading zeros were removed": (_sub(r"(?<!\d)0+(?=\d)"), "0"),
    "a trailing .0 were removed": (_sub(r"\.0+$"), "."),
    _R_PREFIX: (_sub(r"^X(?=\d)"), "X"),
    "annotations after a semicolon (such as ;size=12) were removed": (lambda name: name.partition(";")[0], ";"),
    "Illumina's ending (such as _S1_L001_R1_001.fastq.gz) were removed": (lambda name: _ILLUMINA.sub("", name), "_."),
    "quotes were removed": (without_quotes, "\"'`"),
    "folders were removed": (_sub(r"^.*[/\\](?=.)"), "/\\"),
    "the file's ending (such as .fasta) were removed": (lambda name: _ENDING.sub("", name), "."),
    "descriptions after the first blank were removed": (lambda name: (name.split(maxsplit=1) or [""])[0], whitespace),
    "sequences were in one orientation (some are reverse complements)": (_one_strand, ""),
    "differences that are hard to see (Unicode, blanks, dashes, look-alikes) and case were ignored": (plain, ""),
    "U were T in sequences": (lambda name: re.sub("[Uu]", "T", name) if _DNA.fullmatch(name) else name, "Uu"),
}
# Changes of only one side, since the other side's ids may end in the same way.
_ONE_SIDE: dict[str, Change] = {
    "the number that redbiom puts after samples (such as .58152) were removed": _sub(r"(?<=.)\.\d{2,}$"),
}


def changes(wanted: Sequence[str], available: Sequence[str]) -> list[IdChange]:
    """Return the changes to try for these ids, the best known first."""
    letters = {letter for ids in (wanted, available) for letter in set("".join(ids))}
    all_ascii = all(map(str.isascii, letters))
    found = [
        IdChange(name, change, removes_start=name in (_QIITA_PREFIX, _R_PREFIX))
        for name, (change, needs) in _EVERYWHERE.items()
        if not needs or not all_ascii or not letters.isdisjoint(needs)
    ]
    sides: tuple[tuple[Literal["wanted", "available"], Sequence[str]], ...] = (
        ("wanted", wanted),
        ("available", available),
    )
    for side, ids in sides:
        found += [IdChange(name, change, side) for name, change in _ONE_SIDE.items()]
        found += _shared_ends(side, ids)
    return [*found, *_cut_sequences(wanted, available)]


def _shared_ends(side: Literal["wanted", "available"], ids: Sequence[str]) -> list[IdChange]:
    """Return removals of what all ids of one side start or end with, in whole words and numbers; the longest first."""
    if len(ids) < 2 or _DNA.match(ids[0]):
        return []
    start = re.sub(r"\d+$", "", _shared_start(ids))
    end = _shared_start([name[::-1] for name in ids])[::-1]
    starts = {start, *(start[: word.end()] for word in _SEPARATOR.finditer(start))} - {""}
    ends = [end[word.start() :] for word in _SEPARATOR.finditer(end)]
    return [
        *(_removal("beginning", text, str.removeprefix, side) for text in sorted(starts, key=len)[-_MAX_ENDS:]),
        *(_removal("end", text, str.removesuffix, side) for text in ends[-_MAX_ENDS:]),
    ]


def _shared_start(ids: Sequence[str]) -> str:
    first, last = min(ids), max(ids)  # what these share, all ids in between share
    return "".join(a for a, b in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))


def _removal(
    what: Literal["beginning", "end"],
    text: str,
    remove: Callable[[str, str], str],
    side: Literal["wanted", "available"],
) -> IdChange:
    name = f"the {what} {quoted(text)} were removed"
    return IdChange(name, lambda id_: remove(id_, text), side, removes_start=what == "beginning")


def _cut_sequences(wanted: Sequence[str], available: Sequence[str]) -> list[IdChange]:
    """Return a cut of longer sequences to the length of the shorter ones, if ids are sequences."""
    lengths = []
    for ids in (wanted, available):
        if not ids or not all(map(_DNA.fullmatch, ids)):
            return []
        lengths.append(min(map(len, ids)))
    if lengths[0] == lengths[1]:
        return []
    length = min(lengths)
    side: Literal["wanted", "available"] = "wanted" if lengths[0] > length else "available"
    return [IdChange(f"sequences were cut to {length} bases", lambda name: name[:length], side)]
