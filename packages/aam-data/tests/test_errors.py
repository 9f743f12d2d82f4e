"""Messages stay short, whatever they repeat."""

from __future__ import annotations

import pytest

from aam_data.errors import DataError, first_few, quoted, shortened, shown


def test_long_values_are_cut_and_short_ones_are_not() -> None:
    sequence = "ACGT" * 100
    assert shown("A" * 60) == "A" * 60
    assert shown(sequence) == f"{'ACGT' * 6}...{'ACGT' * 6} (400 characters)"
    assert quoted(sequence) == f"'{'ACGT' * 6}'...'{'ACGT' * 6}' (400 characters)"
    assert quoted("a\u200b") == r"'a\u200b'"
    assert len(first_few([sequence] * 9)) < 5 * 80 + 20


@pytest.mark.parametrize("part", ["problem", "place", "remedy"])
def test_a_message_is_bounded_whatever_is_put_into_it(part: str) -> None:
    for text in ("x" * 10**6, "x y " * 10**6):
        error = DataError(**{"problem": "p", part: text}, offenders=[text] * 9)
        assert len(str(error)) < 5000


def test_paths_and_ordinary_messages_are_whole() -> None:
    path = "/".join(["folder" * 3] * 20)
    assert shortened(f"{path}: no column x") == f"{path}: no column x"
