"""Spellings of one text that readers can hardly tell apart: Unicode forms, invisible characters, look-alikes.

Nothing here changes data: the functions find out why two texts differ, so that messages can say so.
"""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import cache

# Letters of other alphabets that look like Latin ones in most fonts, after Unicode's confusables (UTS 39); only those
# that keyboards type. Each group of letters is followed by what it looks like.
_LOOK_ALIKES = {
    # Cyrillic
    "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e": "ABESIJKMHO",
    "\u0420\u0421\u0422\u0423\u0425\u04ae\u050c\u051a\u051c\u04ba": "PCTYXYGQWh",
    "\u0430\u0432\u0435\u0455\u0456\u0458\u043a\u043c\u043d\u043e": "abesijkmho",
    "\u0440\u0441\u0442\u0443\u0445\u04af\u0501\u051b\u051d\u04bb\u04cf": "pctyxydqwhl",
    # Greek
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03f9": "ABEZHIKMNOPTYXC",
    "\u03b1\u03b9\u03ba\u03bd\u03bf\u03c1\u03c5\u03c7\u03f2": "aikvopuxc",
    # Latin, but not ASCII: i and j without dots, single-storey a and g
    "\u0131\u0237\u0251\u0261": "ijag",
}
_QUOTES = "\"'`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a\u00ab\u00bb"
_BLANKS = re.compile(r"[\s\u00a0]+")
_ZEROS = re.compile(r"(?<![\d.,])0+(?=\d)")
_FRACTION = re.compile(r"(?<![.\d])(\d+)\.0*$|(?<![.\d])(\d+\.\d*?[1-9])0+$")
_SEPARATORS = re.compile(r"(?<=\w)[\s_-]+(?=\w)|(?<=[^\W\d])_(?=\d)")
_NUMBER = re.compile(r"[-+]?[\d.]+")
_MAX_POINTS = 4  # code points listed of a difference


def are_different_numbers(one: str, other: str) -> bool:
    """Return whether two texts are numbers of different value, so that no change of spelling explains the difference.

    Example:
        >>> are_different_numbers("1.5", "5"), are_different_numbers("1.0", "1"), are_different_numbers("S1", "1")
        (True, False, False)
    """
    try:
        values = float(one), float(other)
    except ValueError:
        return False
    return values[0] != values[1] and all(map(math.isfinite, values))


@cache
def _of_category(*categories: str) -> dict[int, None]:
    return {code: None for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in categories}


@cache
def _invisible() -> dict[int, None]:
    """Return a table that deletes what no font shows: format characters, selectors and fillers."""
    selectors = [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164]
    return _of_category("Cf") | dict.fromkeys(selectors)


@cache
def _dashes() -> dict[int, str]:
    """Return a table that makes a hyphen of every dash, and of the minus sign."""
    return dict.fromkeys([*_of_category("Pd"), 0x2212, 0x02D7, 0x2043, 0x2796, 0x00AD], "-")


@cache
def _latin() -> dict[int, str]:
    return {
        ord(other): latin
        for others, letters in _LOOK_ALIKES.items()
        for other, latin in zip(others, letters, strict=True)
    }


def composed(text: str) -> str:
    """Return ``text`` with composed accents (Unicode NFC)."""
    return unicodedata.normalize("NFC", text)


def compatible(text: str) -> str:
    """Return ``text`` with plain forms of full-width letters, ligatures and the like (Unicode NFKC)."""
    return unicodedata.normalize("NFKC", text)


def without_invisible(text: str) -> str:
    """Remove characters that no font shows: zero-width ones, byte order marks, soft hyphens, marks of direction."""
    return text if text.isascii() else text.translate(_invisible())


def with_hyphens(text: str) -> str:
    """Replace every dash by the hyphen."""
    return text if text.isascii() else text.translate(_dashes())


def with_latin(text: str) -> str:
    """Replace Greek and Cyrillic letters by the Latin ones that they look like."""
    return text if text.isascii() else text.translate(_latin())


def with_plain_blanks(text: str) -> str:
    """Replace every run of blanks, such as a non-breaking one, by one blank; none remain at the ends."""
    return _BLANKS.sub(" ", text).strip()


def without_quotes(text: str) -> str:
    """Remove quotes."""
    return text.translate(dict.fromkeys(map(ord, _QUOTES)))


def plain(text: str) -> str:
    """Return ``text`` as a reader sees it: without differences of Unicode, invisible characters, blanks and case."""
    if not text.isascii():
        text = with_latin(with_hyphens(without_invisible(compatible(text))))
    return with_plain_blanks(text).casefold()


def spelling_key(value: str) -> str:
    """Return a form that is the same for all spellings of a value.

    Differences of case, blanks, hyphens and underscores, Unicode forms and look-alikes, and of writing one number
    (``1``, ``1.0``, ``01``) do not count. Words are never translated: ``T`` is not ``TRUE``.
    """
    text = plain(value)
    if not _NUMBER.fullmatch(text):
        text = _SEPARATORS.sub(" ", text)
    text = _ZEROS.sub("", text.removeprefix("+"))
    return _FRACTION.sub(lambda match: match[1] or match[2], text)


def several_spellings(values: Iterable[str | None]) -> list[dict[str, int]]:
    """Find values in several spellings.

    Args:
        values: [B] str or None (missing).

    Returns:
        For each such value, the number of samples by spelling, the commonest first.
    """
    counts = Counter(value for value in values if value is not None)
    spellings: dict[str, dict[str, int]] = defaultdict(dict)
    for value, count in counts.most_common():
        spellings[spelling_key(value)][value] = count
    return [same for same in spellings.values() if len(same) > 1]


def code_points(text: str) -> str:
    """Name the characters of a text: ``"U+2013 EN DASH"``; ``"nothing"`` for an empty one."""
    names = [f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip() for char in text[:_MAX_POINTS]]
    return " ".join([*names, *(["..."] if len(text) > _MAX_POINTS else [])]) or "nothing"


def hidden_difference(one: str, other: str) -> str | None:
    """Name the first characters in which two texts differ, if these are hard to see; else None.

    Example:
        >>> hidden_difference("A-1", "A\u20131")
        'U+002D HYPHEN-MINUS and U+2013 EN DASH'
    """
    for what, start, stop, start_other, stop_other in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        parts = one[start:stop], other[start_other:stop_other]
        if what != "equal" and not (parts[0].isascii() and parts[1].isascii()):
            return f"{code_points(parts[0])} and {code_points(parts[1])}"
    return None
