"""Decimals parsed at once are those of float, bit for bit, and other pieces are left to it."""

import numpy as np
import pytest

from aam_data.readers.newick.decimals import parse_decimals
from aam_data.readers.newick.tree import parse_newick


def parse(words: list[str]) -> np.ndarray:
    """Parse words of a text in which something stands before and after each of them."""
    text = "(" + ":".join(["x" * 30, *words, "end"])
    stop = np.cumsum([len(word) + 1 for word in ["x" * 30, *words]])
    start = stop - [len(word) for word in ["x" * 30, *words]]
    codes = np.frombuffer(text.encode(), dtype=np.uint8)
    return parse_decimals(codes, start[1:].astype(np.int64), stop[1:].astype(np.int64))


def test_random_decimals_equal_float() -> None:
    rng = np.random.default_rng(1)
    words = [f"{value:.{digits}f}" for digits in range(1, 16) for value in rng.uniform(0, 9.9, 500)]
    words += [f"0.{'0' * zeros}{rng.integers(1, 10**6)}" for zeros in range(16) for _ in range(20)]
    parsed = parse(words)
    taken = ~np.isnan(parsed)
    assert taken.mean() > 0.95
    assert parsed[taken].tolist() == [float(word) for word, one in zip(words, taken, strict=True) if one]


OTHERS = "1e-06|-0.5|+0.5|10.5|7|.5|5.|| 0.5|0.5 |0.5e3|0.5_1|0,5|a.5|0.a|0..5|9.007199254740993|0.12345678901234567890"


@pytest.mark.parametrize("word", [*OTHERS.split("|"), f"0.{'0' * 25}1"])
def test_other_pieces_are_left_to_float(word: str) -> None:
    assert np.isnan(parse(["0.25", word, "0.75"])).tolist() == [False, True, False]


def test_pieces_at_the_edges_of_a_text() -> None:
    codes = np.frombuffer(b"0.5", dtype=np.uint8)
    parsed = parse_decimals(codes, np.array([0]), np.array([3]))
    assert np.isnan(parsed[0]) or parsed[0] == 0.5
    assert parse_decimals(codes, np.array([2]), np.array([3])).tolist() == pytest.approx([np.nan], nan_ok=True)
    assert len(parse_decimals(codes, np.empty(0, np.int64), np.empty(0, np.int64))) == 0


def test_a_tree_with_all_forms_of_lengths() -> None:
    words = ["0.125", "1e-06", "12.5", "3", " .5 ", "+1.0", "0.30000000000000004", "5.", "2.2250738585072014e-308"]
    tree = parse_newick(("(" + ",".join(f"t{i}:{word}" for i, word in enumerate(words)) + ");").encode())
    assert tree.length[tree.tips].tolist() == [float(word) for word in words]
