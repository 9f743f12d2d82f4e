"""Random sequences of format keywords are valid metadata, FASTA or taxonomy, or raise a one-line DataError."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions
from aam_data.readers.fasta import read_sequences
from aam_data.readers.metadata.metadata import Metadata, read_metadata
from aam_data.readers.taxonomy import Taxonomy, read_taxonomy

PIECES = [
    "id",
    "#SampleID",
    "Feature ID",
    "Taxon",
    "#q2:types",
    "#q2:missing",
    "numeric",
    "INSDC:missing",
    "Confidence",
]
PIECES += [
    "\t",
    "\t",
    "\t",
    ",",
    ";",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\r",
    '"',
    "#",
    ">",
    " ",
    "s1",
    "s2",
    "7",
    "0.5",
    "nan",
]
PIECES += ["missing: x", "ACGT", "acgu", "-", "N", "\ufeff", "\u00e9", "\u2028", "\x0b", "\0"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
CONTENT = st.one_of(
    TEXTS.map(str.encode),
    TEXTS.map("id\tph\ns0\t1\n".__add__).map(str.encode),
    TEXTS.map("Feature ID\tTaxon\na\tx\n".__add__).map(str.encode),
    TEXTS.map(">a\nACGT\n".__add__).map(str.encode),
    TEXTS.map(lambda text: text.encode("utf-16")),
    st.binary(max_size=60),
)
READERS: dict[str, Callable[[Path], object]] = {
    "metadata": lambda path: read_metadata(path, MetadataOptions(), sample_ids={"s0", "s1"}),
    "sequences": read_sequences,
    "taxonomy": read_taxonomy,
}


def outcome(reader: str, path: Path) -> object:
    """Return the parsed file or the DataError."""
    try:
        return READERS[reader](path)
    except DataError as error:
        return error


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_nothing_but_data_errors(tmp_path_factory: pytest.TempPathFactory, reader: str, suffix: str) -> None:
    path = tmp_path_factory.mktemp("fuzz") / f"file{suffix}"

    @given(CONTENT)
    def check(content: bytes) -> None:
        path.write_bytes(content)
        result = outcome(reader, path)
        if isinstance(result, DataError):
            assert str(path) in str(result)
            assert "\n" not in str(result)
        elif isinstance(result, Metadata):
            ids = result.sample_ids.tolist()
            assert len(set(ids)) == len(ids) > 0
            assert all(len(result.text(name)) == len(ids) for name in result.columns)
            assert all(result.kind(name) in ("categorical", "numeric") for name in result.columns)
        elif isinstance(result, Taxonomy):
            assert len(result.taxa) == len(result.feature_ids) > 0
        elif isinstance(result, dict):
            assert all(result.values())

    check()
