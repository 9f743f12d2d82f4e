"""Size limits and kinds of files, the same for every reader."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions
from aam_data.readers import source
from aam_data.readers.biom.table import read_table
from aam_data.readers.distances.faith_pd import read_faith_pd
from aam_data.readers.distances.matrix import open_distances
from aam_data.readers.fasta import read_sequences
from aam_data.readers.id_list import read_id_list
from aam_data.readers.metadata.metadata import read_metadata
from aam_data.readers.newick.tree import read_newick
from aam_data.readers.taxonomy import read_taxonomy
from aam_data.splits.splits import read_splits

READERS: dict[str, Callable[[Path], object]] = {
    "table": read_table,
    "sequences": read_sequences,
    "metadata": lambda path: read_metadata(path, MetadataOptions(metadata=path)),
    "tree": read_newick,
    "distances": open_distances,
    "taxonomy": read_taxonomy,
    "diversity": read_faith_pd,
    "list": lambda path: read_id_list(path, "--train-samples"),
    "splits": read_splits,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_what_is_not_a_file_is_not_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    with pytest.raises(DataError, match=r"is not a regular file"):
        READERS[name](tmp_path / "pipe")


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("start", [b"", b"(sample-id\tx\n"])
def test_a_large_file_is_refused_with_little_memory(tmp_path: Path, name: str, start: bytes) -> None:
    if name == "splits" and start:
        pytest.skip("AAM writes the file itself")
    path = tmp_path / "large"
    with path.open("wb") as file:  # it takes no space
        file.write(start)
        file.truncate(20 * 10**9)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"NUL bytes only|the limit is 8 GB|at most 67 MB"):
            READERS[name](path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_a_gzip_file_is_counted_before_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_HELD", 10_000)
    monkeypatch.setattr(source, "_BLOCK", 5_000)
    content = b"sample-id\tage\n" * 200_000
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(content))
    start = source.first_bytes(path, "--metadata")
    assert source.read_bounded(path, start, len(content)) == content
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"the limit is 0.0028 GB"):
            source.read_bounded(path, start, len(content) - 1)
        assert tracemalloc.get_traced_memory()[1] < len(content) / 4
    finally:
        tracemalloc.stop()


def test_large_json_is_refused_before_it_is_read(tmp_path: Path) -> None:
    text = b'{"rows": [' + b" " * 5_000_000
    for content in (text, gzip.compress(text)):
        (tmp_path / "t.biom").write_bytes(content)
        with pytest.raises(DataError, match=r"JSON of this size may need .*--to-hdf5"):
            read_table(tmp_path / "t.biom", max_input_gb=0.02)
