"""Files written block by block, through interruptions, kill -9 and wrong commands."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aam_data.errors import DataError
from aam_data.writers import resumable
from aam_data.writers.resumable import resumable_file


@pytest.fixture
def mark_every_block(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(resumable, "SECONDS_BETWEEN_MARKS", 0.0)
    return


def create(partial: Path) -> None:
    partial.write_text("")


def append(partial: Path, text: str) -> None:
    with partial.open("a") as stream:
        stream.write(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def interrupted_after(path: Path, n_blocks: int, key: str = "a key") -> None:
    def fill() -> None:
        with resumable_file(path, key, create) as file:
            for number in range(file.n_blocks, n_blocks):
                append(file.path, str(number))
                file.record(number + 1, lambda: None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill()


def test_continues_after_each_interruption(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    interrupted_after(path, 2)
    assert names(tmp_path) == ["out.txt.partial", "out.txt.partial.blocks"]
    interrupted_after(path, 12)
    assert (tmp_path / "out.txt.partial.blocks").read_text().split() == ["a", "key", "12", "14"]
    with resumable_file(path, "a key", create) as file:
        assert file.n_blocks == 12
        file.path.rename(path)
    assert names(tmp_path) == ["out.txt"]
    assert path.read_text() == "01234567891011"


def test_nothing_is_left_when_nothing_was_done(tmp_path: Path) -> None:
    interrupted_after(tmp_path / "out.txt", 0)
    assert names(tmp_path) == []


def test_marks_follow_the_flush(mark_every_block: None, tmp_path: Path) -> None:
    """Marks are written after the flush or not at all, so the blocks they count are on the disk."""
    marks, seen = tmp_path / "out.txt.partial.blocks", []

    def fail() -> None:
        raise OSError(28, "No space left on device")

    def fill() -> None:
        with resumable_file(tmp_path / "out.txt", "key", create) as file:
            file.record(1, lambda: seen.append(marks.read_text()))
            assert seen == [""]
            assert marks.read_text().split() == ["key", "1", "0"]
            file.record(2, fail)

    with pytest.raises(OSError, match="No space"):
        fill()
    assert marks.read_text().split() == ["key", "1", "0"]


def test_rejects_another_key(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    interrupted_after(path, 2, "one thing")
    before = (tmp_path / "out.txt.partial").read_text()
    with pytest.raises(DataError, match=r"another table, tree or options.*out\.txt\.partial\.blocks"):
        interrupted_after(path, 3, "another")
    assert (tmp_path / "out.txt.partial").read_text() == before
    interrupted_after(path, 3, "one thing")
    assert (tmp_path / "out.txt.partial").read_text() == before + "2"


@pytest.mark.parametrize("marks", ["", "key", "key\n", "key\n 2", "key\n 2 4", "key\nx2 4\n", "\n2 4\n"])
def test_starts_again_without_complete_marks(marks: str, tmp_path: Path) -> None:
    """Without complete marks, after a kill during creation or before the first mark, writing starts again."""
    (tmp_path / "out.txt.partial.blocks").write_text(marks)
    if marks != "\n2 4\n":  # marks without the file they are of
        (tmp_path / "out.txt.partial").write_text("half")
    with resumable_file(tmp_path / "out.txt", "key", create) as file:
        assert file.n_blocks == 0
        assert file.path.read_text() == ""
        file.path.rename(tmp_path / "out.txt")
    assert names(tmp_path) == ["out.txt"]


def test_two_programs_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with resumable_file(path, "key", create) as file:
        with pytest.raises(DataError, match="another program"), resumable_file(path, "key", create):
            pass
        file.path.rename(path)


def test_a_blocked_read_is_not_another_program(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), resumable_file(tmp_path / "out.txt", "key", create):
        raise BlockingIOError


@pytest.mark.parametrize("suffix", [".partial", ".partial.blocks"])
def test_does_not_write_through_links(suffix: str, tmp_path: Path) -> None:
    path, other = tmp_path / "out.txt", tmp_path / "other"
    other.write_text("precious")
    (tmp_path / f"out.txt{suffix}").symlink_to(other)
    message = rf"out\.txt{suffix}: is not a regular file"
    with pytest.raises(DataError, match=message), resumable_file(path, "key", create):
        pass
    assert other.read_text() == "precious"
    assert names(tmp_path) == ["other", f"out.txt{suffix}"]


@pytest.mark.parametrize("suffix", [".partial", ".partial.blocks"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_rejects_other_than_regular_files(make: Callable[[Path], None], suffix: str, tmp_path: Path) -> None:
    make(tmp_path / f"out.txt{suffix}")
    with pytest.raises(DataError, match="is not a regular file"), resumable_file(tmp_path / "out.txt", "key", create):
        pass
    assert names(tmp_path) == [f"out.txt{suffix}"]


@pytest.mark.parametrize("change", [-1, 1])
def test_rejects_a_file_of_another_size(change: int, tmp_path: Path) -> None:
    interrupted_after(tmp_path / "out.txt", 3)
    os.truncate(tmp_path / "out.txt.partial", 3 + change)
    with pytest.raises(DataError, match=rf"has {3 + change} bytes, but had 3 when.*out\.txt\.partial\.blocks"):
        interrupted_after(tmp_path / "out.txt", 4)


def test_a_data_error_leaves_nothing(tmp_path: Path) -> None:
    interrupted_after(tmp_path / "out.txt", 2)
    with pytest.raises(DataError, match="wrong"), resumable_file(tmp_path / "out.txt", "a key", create):
        raise DataError("wrong", code="file-damaged")
    assert names(tmp_path) == []


def test_the_lock_is_of_the_file_that_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One program opens the marks, another finishes and removes them, only then does the first get its lock."""
    path, flock = tmp_path / "out.txt", fcntl.flock
    first = resumable_file(path, "key", create)
    first.__enter__().path.rename(path)

    def after_the_first(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        first.__exit__(None, None, None)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", after_the_first)
    with resumable_file(path, "key", create) as file:
        with pytest.raises(DataError, match="another program"), resumable_file(path, "other", create):
            pass
        file.rename_to(path)
    assert names(tmp_path) == ["out.txt"]


def test_works_without_file_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail_with(number: int) -> None:
        def flock(descriptor: int, operation: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)

    notes: list[str] = []
    for number in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
        fail_with(number)
        with resumable_file(tmp_path / "out.txt", "key", create, notes.append) as file:
            file.rename_to(tmp_path / "out.txt")
    assert notes == ["the file system has no locks: make sure that no other program writes out.txt.partial"] * 3
    fail_with(errno.EIO)
    with pytest.raises(OSError, match="Input/output"), resumable_file(tmp_path / "out.txt", "key", create):
        pass


def test_survives_kill_9(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from aam_data.writers import resumable
resumable.SECONDS_BETWEEN_MARKS = 0.0
with resumable.resumable_file(Path({str(tmp_path / "out.txt")!r}), "key", lambda path: path.write_text("")) as file:
    file.path.write_text("0")
    file.record(1, lambda: None)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    with resumable_file(tmp_path / "out.txt", "key", create) as file:
        assert file.n_blocks == 1
        assert file.path.read_text() == "0"
        file.path.rename(tmp_path / "out.txt")
    assert names(tmp_path) == ["out.txt"]
