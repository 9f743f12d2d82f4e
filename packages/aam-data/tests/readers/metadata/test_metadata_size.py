"""Small files that would become large tables are rejected before they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions
from aam_data.readers.metadata.metadata import read_metadata


def test_short_rows_are_not_filled_up_without_end(tmp_path: Path) -> None:
    header = "id\t" + "\t".join(f"c{number}" for number in range(999))
    path = tmp_path / "metadata.tsv"
    path.write_text(header + "\n" + "".join(f"s{number}\n" for number in range(1000)))
    assert read_metadata(path, MetadataOptions(path), max_input_gb=0.01).frame.shape == (1000, 999)
    with pytest.raises(DataError, match=r"rows of 1,000 columns need more than 0.001 GB.*--max-input-gb"):
        read_metadata(path, MetadataOptions(path), max_input_gb=0.001)
