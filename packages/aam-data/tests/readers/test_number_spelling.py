"""Advice about numbers in other spellings."""

from __future__ import annotations

import pytest

from aam_data.readers.number_spelling import spelling_remedy


@pytest.mark.parametrize(
    ("cells", "advice"),
    [
        (["1,200"], "1,200 may be 1200"),
        (["12,5", "1,250"], "1,250 may be 1250"),
        (["1,200.5"], "1,200.5 may be 1200.5"),
        (["1.200,5"], "1.200,5 may be 1200.5"),
        (["1.200.000"], "may be 1200000"),
        (["-1'200"], "-1'200 may be -1200"),
        (["1\u2019200"], "may be 1200"),
        (["1 200"], "1 200 may be 1200"),
        (["1\u00a0200\u00a0000"], "may be 1200000"),
        (["1\u202f200"], "may be 1200"),
        (["12,5", "0,125"], "Write decimal points"),
        (["\u22122.5"], r"Write -2.5 instead of \u22122.5"),
        (["\u20133"], "Write -3 instead of"),
        (["\u0661\u0662"], "Write 12 instead of"),
        (["\uff11\uff12"], "U\\+FF11"),
    ],
)
def test_advice(cells: list[str], advice: str) -> None:
    found = spelling_remedy(cells)
    assert found is not None
    assert advice.replace("\\+", "+").replace(r"\u2212", "\u2212") in found


@pytest.mark.parametrize("cells", [["<5"], ["10\u00b2"], ["a,b"], ["1,20", "warm"], ["2019-06-01"], ["1/2"], []])
def test_no_advice_about_other_text(cells: list[str]) -> None:
    assert spelling_remedy(cells) is None


def test_a_thousand_is_never_called_a_decimal() -> None:
    for cell in ("1,200", "12,000", "999,999", "1,000,000"):
        assert "decimal points" not in str(spelling_remedy([cell, "3,5"]))
