"""Texts that look the same: what makes them equal, and how messages name the difference."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aam_data.spelling import hidden_difference, plain, several_spellings, spelling_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Beb\u00e9", "Bebe\u0301"),
        ("\uff21\uff11", "A1"),
        ("a\u200bb", "ab"),
        ("\ufeffa", "a"),
        ("a\u00adb", "ab"),
        ("\u202aab\u202c", "ab"),
        ("a\u00a0b", "a b"),
        ("a\u2013b", "a-b"),
        ("a\u2011b", "a-b"),
        ("a\u2212b", "a-b"),
        ("\u0410\u0412", "AB"),
        ("\u0391\u0392", "AB"),
        (" a  b ", "a b"),
        ("A", "a"),
    ],
)
def test_what_readers_cannot_tell_apart_is_plain_alike(one: str, other: str) -> None:
    assert one != other
    assert plain(one) == plain(other)


@given(st.text())
def test_plain_text_is_independent_of_unicode_forms(text: str) -> None:
    assert plain(unicodedata.normalize("NFD", text)) == plain(unicodedata.normalize("NFC", text))


def test_hidden_differences_are_named() -> None:
    assert hidden_difference("A-1", "A\u20131") == "U+002D HYPHEN-MINUS and U+2013 EN DASH"
    assert hidden_difference("a", "a\u200b") == "nothing and U+200B ZERO WIDTH SPACE"
    assert hidden_difference("\u00e9", "e\u0301") == (
        "U+00E9 LATIN SMALL LETTER E WITH ACUTE and U+0065 LATIN SMALL LETTER E U+0301 COMBINING ACUTE ACCENT"
    )
    assert hidden_difference("a_1", "A-1") is None


@pytest.mark.parametrize(
    "spellings",
    [
        ("TRUE", "True", "true"),
        ("1", "1.0", "01", "+1", "1.00"),
        ("0.5", "0.50", "00.5"),
        ("101", "101.0", "0101"),
        ("mouse_1", "Mouse 1", "mouse-01"),
        ("caf\u00e9", "cafe\u0301", "CAF\u00c9"),
        ("case ", "Case"),
    ],
)
def test_spellings_of_one_value(spellings: tuple[str, ...]) -> None:
    assert len(set(map(spelling_key, spellings))) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("T", "TRUE"), ("1", "TRUE"), ("1", "-1"), ("1", "10"), ("10", "100"), ("0.1", "0.01"), ("1.2", "12"),
        ("a10", "a1"), ("1.10.0", "1.1.0"), ("12345678901234567", "12345678901234568"), ("+", "-"), ("a", "b"),
    ],
)  # fmt: skip
def test_other_values_stay_apart(one: str, other: str) -> None:
    assert spelling_key(one) != spelling_key(other)


def test_counts_by_spelling() -> None:
    values = ["Case", "case", None, "case", "Control", "1", "1.0"]
    assert several_spellings(values) == [{"case": 2, "Case": 1}, {"1": 1, "1.0": 1}]
    assert several_spellings(["a", "b", None]) == []
