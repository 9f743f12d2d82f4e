"""Checks of output paths, and atomic writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aam_data.errors import DataError
from aam_data.writers.atomic import atomic_write, check_output


def test_overwrites_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("1")
    inputs = {"--table": tmp_path / "in", "--tree": None}
    check_output(tmp_path / "out", inputs, [tmp_path / "out.more"])
    (tmp_path / "out").write_text("2")
    check_output(tmp_path / "out", inputs, [tmp_path / "out.more"], overwrite=True)
    with pytest.raises(DataError, match=r"/out: --output exists. Choose another file, or pass --overwrite"):
        check_output(tmp_path / "out", inputs)
    (tmp_path / "out").rename(tmp_path / "out.more")
    with pytest.raises(DataError, match=r"/out.more: is written next to --output out and exists. .* pass --overwrite"):
        check_output(tmp_path / "out", inputs, [tmp_path / "out.more"])
    check_output(tmp_path / "out", inputs, [tmp_path / "out.more"], overwrite=True)
    check_output(tmp_path / "out", inputs, temporary=[tmp_path / "out.more"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_rejects_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="the folder of --output is not writable"):
        check_output(tmp_path / "out", {})
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("target", ["other", "nowhere", "/dev/null", "/proc/self/fd/1"])
def test_links_are_never_replaced(target: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("1")
    (tmp_path / "out").symlink_to(target)
    for output, more in ((tmp_path / "out", []), (tmp_path / "new", [tmp_path / "out"])):
        with pytest.raises(DataError, match=r"/out: .* is (a link, which would be replaced|not a regular file)"):
            check_output(output, {}, more, overwrite=True)


@pytest.mark.parametrize("place", ["out", "out.more"])
def test_rejects_links_to_inputs(place: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("1")
    (tmp_path / place).symlink_to("in")
    with pytest.raises(DataError, match=f"/{place}: .*--output.* is the file passed to --table"):
        check_output(tmp_path / "out", {"--table": tmp_path / "in"}, [tmp_path / "out.more"])


@pytest.mark.parametrize("place", ["out", "out.more"])
def test_rejects_other_than_regular_files(place: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / place)
    with pytest.raises(DataError, match=f"/{place}: .*--output.* is not a regular file"):
        check_output(tmp_path / "out", {}, [tmp_path / "out.more"])
    assert (tmp_path / place).is_fifo()


def test_rejects_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--output is a folder"):
        check_output(tmp_path, {})
    with pytest.raises(DataError, match="the folder of --output does not exist"):
        check_output(tmp_path / "absent" / "out", {})


def test_replaces_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    plain = tmp_path / "plain"
    plain.write_text("")
    assert path.stat().st_mode == plain.stat().st_mode
    assert sorted(tmp_path.iterdir()) == [path, plain]


def test_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_else_can_reach_what_is_written(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "out") as temporary:
        assert not temporary.exists()
        assert temporary.parent.stat().st_mode & 0o077 == 0
        temporary.write_text("")
    (tmp_path / "link").symlink_to("out")
    with atomic_write(tmp_path / "link") as temporary:
        temporary.write_text("its own")
    assert (tmp_path / "out").read_text() == ""
    assert not (tmp_path / "link").is_symlink()
