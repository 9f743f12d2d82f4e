"""Damaged tables are read or rejected: no other exception, no crash, no hang."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import biom
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .child import FUZZ, Reading, reading_in
from .damage import damaged, texts_of
from .hdf5_changes import changed

COUNTS = np.array([[5, 0, 0], [0, 3, 9], [1, 0, 2], [0, 0, 7]])  # features by samples
TABLE = biom.Table(COUNTS.astype(float), ["f1", "f2", "f3", "f4"], ["s1", "s2", "s3"])


def hdf5(compress: bool, **options: Any) -> bytes:
    content = BytesIO()
    with h5py.File(content, "w", **options) as file:
        TABLE.to_hdf5(file, "fuzz", compress=compress)
    return content.getvalue()


def fixed_length_ids() -> bytes:
    content = BytesIO(hdf5(False))
    with h5py.File(content, "a") as file:
        for axis, ids in (("sample", TABLE.ids()), ("observation", TABLE.ids("observation"))):
            del file[f"{axis}/ids"]
            file[f"{axis}/ids"] = np.array(ids, dtype="S4")
    return content.getvalue()


FILES = [hdf5(False), hdf5(True), hdf5(True, libver="latest"), fixed_length_ids()]
JSON = TABLE.to_json("fuzz").encode()
TSV = TABLE.to_tsv().encode()
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-3, 2**70), st.floats(), st.sampled_from(["", "s1", "dense", "NaN"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["id", "x"]), inner, max_size=2)
    ),
    max_leaves=5,
)

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # which would hide the failure


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    with reading_in(tmp_path_factory.mktemp("fuzz")) as reading:
        yield reading


@st.composite
def edited_json(draw: st.DrawFn) -> bytes:
    """Replace one to three values anywhere in the document."""
    document = json.loads(JSON)
    for _ in range(draw(st.integers(1, 3))):
        inside: Any = document
        while True:
            keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(inside[key], dict | list) and inside[key] and draw(st.booleans()):
                inside = inside[key]
                continue
            inside[key] = draw(VALUES)
            break
    return json.dumps(document).encode()


def test_the_good_files_are_accepted(reading: Reading) -> None:
    for content in (*FILES, JSON, TSV):
        assert reading("table", content) == "accepted"
    for content in FILES:
        assert reading("rows", content) == "accepted"


@FUZZ
@given(content=damaged(*FILES))
def test_damaged_hdf5(reading: Reading, content: bytes) -> None:
    reading("table", content, relative_abundance=True)
    reading("rows", content)


@FUZZ
@given(content=changed(FILES))
def test_changed_hdf5(reading: Reading, content: bytes) -> None:
    reading("table", content)
    reading("rows", content)


@FUZZ
@given(content=st.one_of(edited_json(), damaged(JSON)))
def test_json(reading: Reading, content: bytes) -> None:
    reading("table", content)


WORDS = [
    "#OTU ID",
    "#",
    "\t",
    "\t",
    "\t",
    "\n",
    "\n",
    "\r\n",
    "s1",
    "s2",
    "f1",
    "f2",
    "taxonomy",
    "k__B",
    "0",
    "1",
    "2.0",
]


@FUZZ
@given(content=st.one_of(damaged(TSV), texts_of([*WORDS, "-1", "nan", "inf", "1e999", '"', " ", "0x1", "1_0", "\0"])))
def test_tsv(reading: Reading, content: bytes) -> None:
    reading("table", content)
