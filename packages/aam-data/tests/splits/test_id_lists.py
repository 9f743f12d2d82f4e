"""Files of sample ids: reading, and errors (more in test_splits)."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from aam_data.errors import DataError
from aam_data.options.samples import SplitOptions
from aam_data.splits.id_lists import read_id_lists


def options(folder: Path, train: bytes, val: bytes = b"s9") -> SplitOptions:
    (folder / "train").write_bytes(train)
    (folder / "val").write_bytes(val)
    return SplitOptions(train_samples=folder / "train", val_samples=folder / "val")


@pytest.mark.parametrize("train", [b"s2\ns1\n", b"\xef\xbb\xbfs1\r\n\r\ns2", gzip.compress(b" s1 \ns2\n", mtime=0)])
def test_the_same_list_in_other_bytes(tmp_path: Path, train: bytes) -> None:
    lists, notes = read_id_lists(options(tmp_path, train), {"s1", "s2", "s9"}, ())
    assert lists == {"train": ("s1", "s2"), "validation": ("s9",), "test": ()}
    assert notes == ()


def test_what_would_make_unknown_samples_match(tmp_path: Path) -> None:
    message = r"train: 2 samples are not in the table \(2538.s1, x\). 1 of 2 ids would match if Qiita's study pr"
    with pytest.raises(DataError, match=message):
        read_id_lists(options(tmp_path, b"2538.s1\nx\n"), {"s1", "s9"}, ["s3"])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    choice = options(tmp_path, b"s1")
    (tmp_path / "val").unlink()
    with pytest.raises(DataError, match=r"val: cannot be read: No such file.*existing, readable file to --val-samples"):
        read_id_lists(choice, {"s1"}, ())
    with pytest.raises(DataError, match=r"train: not UTF-8 text \(row 2, column 1: b'\\xe9'\)"):
        read_id_lists(options(tmp_path, b"s1\n\xe9\n"), {"s1"}, ())
    with pytest.raises(DataError, match="train: file is empty"):
        read_id_lists(options(tmp_path, b""), {"s1"}, ())
