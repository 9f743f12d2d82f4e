"""Damaged trees, metadata, sequences, distances and taxonomies are read or rejected, in a child process."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .child import FUZZ, Reading, reading_in
from .damage import damaged, texts_of

TREE = b"((a:1,'b c':0.5)x:2e-1,(d_1:0,[note]e:.5):1,f:1);\n"
METADATA = (
    b'#SampleID\thost\tage\n#q2:types\tcategorical\tnumeric\ns1\th1\t3.5\n001\t"h\t2"\tnot collected\ns3\th1\tNA\n'
)
CSV = b'sample_name,host,age\ns1,h1,3\ns2,"h,2",\n'
FASTA = b">s1 first\nACGTNRY\nacgu\n>s2\n--AC.GT\n\n>s3\r\nACGT\r\n"
TAXONOMY = b"Feature ID\tTaxon\tConfidence\nf1\tk__Bacteria; p__Firmicutes\t0.99\nf2\tUnassigned\t0.5\n"
LSMAT = b"# comment\n\ts1\ts2\ts3\ns1\t0\t0.5\t1\ns2\t0.5\t0\t.25\ns3\t1\t.25\t0\n"
DIVERSITY = b"\tfaith_pd\ns1\t1.5\ns2\t0.25\n"
MATRIX = np.array([[0, 0.5, 1], [0.5, 0, 0.25], [1, 0.25, 0]])


def ssu(several: bool) -> bytes:
    content = BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("order", data=["s1", "s2", "s3"], dtype=h5py.string_dtype("ascii"))
        for name in ("matrix:0", "matrix:1") if several else ("matrix",):
            file.create_dataset(name, data=MATRIX.astype(np.float32))
    return content.getvalue()


def npy() -> bytes:
    content = BytesIO()
    np.save(content, MATRIX)
    return content.getvalue()


def npz() -> bytes:
    content = BytesIO()
    np.savez_compressed(content, distances=MATRIX, ids=np.array(["s1", "s2", "s3"]))
    return content.getvalue()


pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # which would hide the failure


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    with reading_in(tmp_path_factory.mktemp("fuzz")) as reading:
        yield reading


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of ids for a .npy matrix."""
    path: Path = tmp_path_factory.mktemp("ids") / "ids.txt"
    path.write_text("s1\ns2\ns3\n")
    return str(path)


def test_the_good_files_are_accepted(reading: Reading, ids: str) -> None:
    good = {
        "newick": [TREE, gzip.compress(TREE)],
        "metadata": [METADATA, CSV],
        "sequences": [FASTA],
        "taxonomy": [TAXONOMY],
        "diversity": [DIVERSITY],
        "distances": [LSMAT, ssu(False), ssu(True), npz()],
    }
    for reader, files in good.items():
        for content in files:
            assert reading(reader, content) == "accepted", reader
    assert reading("distances", npy(), ids=ids) == "accepted"


@FUZZ
@given(
    content=st.one_of(
        damaged(TREE, gzip.compress(TREE)),
        texts_of(
            [
                "(",
                "(",
                ")",
                ")",
                ",",
                ",",
                ":1",
                ":0.5",
                ":",
                ";",
                "a",
                "b",
                "'",
                "''",
                "[",
                "]",
                " ",
                "-1",
                "1e999",
                "nan",
            ]
        ),
        texts_of(["(a:1,", "b:1", "c:1", "):1", ")", ",", "(", ";"], 12).map(lambda text: text + b";"),
    )
)
def test_newick(reading: Reading, content: bytes) -> None:
    reading("newick", content)


@FUZZ
@given(
    content=st.one_of(
        damaged(METADATA, CSV),
        texts_of(
            [
                *("#SampleID", "id", "sample name", "#q2:types", "#q2:missing", "numeric", "categorical", "no-missing"),
                *("\t", "\t", "\t", ",", ";", "\n", "\n", "\r", "\r\n", '"', '""', "#", " ", "\ufeff", "\0", "\x85"),
                *("s1", "s2", "001", "1e5", "1,5", "nan", "not collected", "NA"),
            ]
        ),
    )
)
def test_metadata(reading: Reading, content: bytes) -> None:
    reading("metadata", content)


@FUZZ
@given(
    content=st.one_of(
        damaged(FASTA), texts_of([">", ">s1", ">s2", "\n", "\n", "\r", "ACGT", "n", "-", ".", "U", " ", "*"])
    )
)
def test_sequences(reading: Reading, content: bytes) -> None:
    reading("sequences", content)


@FUZZ
@given(
    content=st.one_of(
        damaged(LSMAT), texts_of(["\t", "\t", ",", "\n", "\n", "s1", "s2", "0", "0.5", "nan", "-1", "#", '"'])
    )
)
def test_distances_as_text(reading: Reading, content: bytes) -> None:
    reading("distances", content)


@FUZZ
@given(content=damaged(ssu(False), ssu(True), npz()))
def test_distances_as_arrays(reading: Reading, content: bytes) -> None:
    reading("distances", content)


@FUZZ
@given(content=damaged(npy()))
def test_distances_as_npy(reading: Reading, ids: str, content: bytes) -> None:
    if content.startswith(b"\x93NUMPY"):
        reading("distances", content, ids=ids)


@FUZZ
@given(content=damaged(TAXONOMY))
def test_taxonomy(reading: Reading, content: bytes) -> None:
    reading("taxonomy", content)


@FUZZ
@given(
    content=st.one_of(damaged(DIVERSITY), texts_of(["\t", ",", "\n", "s1", "s2", "faith_pd", "1.5", "nan", "-1", " "]))
)
def test_diversity(reading: Reading, content: bytes) -> None:
    reading("diversity", content)
