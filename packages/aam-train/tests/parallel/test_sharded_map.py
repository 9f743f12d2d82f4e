"""Splitting of inference into calls."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aam_train.parallel.sharded_map import split_calls


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 10), st.integers(1, 200))
def test_calls_are_limited_by_number_and_by_padded_size(sizes: list[int], at_once: int, most: int) -> None:
    parts = split_calls(np.array(sizes, dtype=np.int64), at_once, most)
    assert [size for part in parts for size in sizes[part]] == sizes
    for part in parts:
        inside = sizes[part]
        assert 1 <= len(inside) <= at_once
        assert len(inside) == 1 or len(inside) * max(inside) <= most
    for left, right in pairwise(parts):
        longer = sizes[left.start : right.start + 1]
        assert len(longer) > at_once or len(longer) * max(longer) > most
