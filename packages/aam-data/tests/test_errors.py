"""Messages stay short, whatever they repeat, and errors and notes have known codes."""

from __future__ import annotations

import copy
import pickle

import pytest

from aam_data.errors import DataError, DataErrors, first_few, quoted, shortened, shown
from aam_data.notes import Note


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
        error = DataError(**{"problem": "p", part: text}, code="ids-empty", offenders=[text] * 9)
        assert len(str(error)) < 5000


def test_paths_and_ordinary_messages_are_whole() -> None:
    path = "/".join(["folder" * 3] * 20)
    assert shortened(f"{path}: no column x") == f"{path}: no column x"


def test_codes_are_of_the_table() -> None:
    errors = DataErrors([DataError("a", code="ids-empty"), DataError("b", code="file-empty")])
    assert errors.codes == ("ids-empty", "file-empty")
    with pytest.raises(AssertionError, match="ids-emtpy"):
        DataError("a", code="ids-emtpy")
    with pytest.raises(AssertionError, match="tree-odd"):
        Note("tree-odd", "a")


def test_a_note_is_its_line_and_stays_whole_in_copies() -> None:
    note = Note("tree-unrooted", "the root is arbitrary", "warning")
    assert note == "warning: the root is arbitrary"
    for same in (note, copy.deepcopy(note), pickle.loads(pickle.dumps(note))):
        assert (same.code, same.level, same.problem) == ("tree-unrooted", "warning", "the root is arbitrary")
