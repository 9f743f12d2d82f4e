"""Files that are written in place: no links, one writer at a time, errors that name them."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aam_data.errors import DataError
from aam_data.writers.atomic import atomic_write
from aam_data.writers.plain_files import errors_name, open_plain, sole_writer


@pytest.mark.parametrize("kind", ["symbolic", "dangling", "hard", "folder", "pipe", "device"])
def test_only_plain_files_are_opened(kind: str, tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "path"
    victim.write_text("precious")
    if kind == "symbolic":
        path.symlink_to(victim)
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "hard":
        path.hardlink_to(victim)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path("/dev/null")
    with pytest.raises(DataError, match=f"{path}: .*but would be written. Remove it"):
        open_plain(path, os.O_RDWR | os.O_CREAT)
    assert victim.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "full"), "[Errno 28] No space left on device: 'out.txt'"),
        (OSError("Can't write data (file write failed: errno = 28, error message = 'full')"), "[Errno 28] No space"),
        (RuntimeError("Set slist enabled failed (file write failed: errno = 27, error"), "[Errno 27] File too large"),
        (RuntimeError("shapes"), "shapes"),
        (OSError(errno.EACCES, "denied", "other.txt"), "[Errno 13] denied: 'other.txt'"),
        (OSError("no number"), "no number"),
    ],
)
def test_errors_name_the_file(error: Exception, message: str) -> None:
    with pytest.raises((OSError, RuntimeError), match=re.escape(message)), errors_name(Path("out.txt")):
        raise error


def test_an_atomic_write_names_its_target_not_its_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with pytest.raises(OSError, match="No space left on device") as caught, atomic_write(path) as temporary:
        raise OSError(errno.ENOSPC, "No space left on device", str(temporary))
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as missing, atomic_write(tmp_path / "absent" / "out.txt"):
        pass
    assert missing.value.filename == str(tmp_path / "absent" / "out.txt")
    assert list(tmp_path.iterdir()) == []


RACE = """
import sys, time
from pathlib import Path
from aam_data.errors import DataError
from aam_data.writers.plain_files import sole_writer
output = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    with sole_writer(output):
        time.sleep(0.2)
        output.write_text(sys.argv[2])
except DataError as error:
    sys.exit(str(error))
"""


def test_of_several_writers_exactly_one_wins(tmp_path: Path) -> None:
    output = tmp_path / "out.txt"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(output), str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(4)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    ends = []
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        _, err = racer.communicate()
        ends.append((racer.returncode, err))
    winners = [number for number, (code, _) in enumerate(ends) if code == 0]
    assert len(winners) == 1
    assert output.read_text() == str(winners[0])
    for code, err in ends:
        assert code == 0 or "another program" in err
    assert list(tmp_path.iterdir()) == [output]


def test_what_was_written_meanwhile_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "evaluation"
    with sole_writer(folder, "--output-dir"):
        folder.mkdir(parents=True)
        (folder / "results.json").write_text("{}")
    with (
        pytest.raises(DataError, match=r"evaluation: another program has written it meanwhile\. Choose another"),
        sole_writer(folder, "--output-dir"),
    ):
        pass
    (tmp_path / "p.tsv").write_text("1")
    with sole_writer(tmp_path / "p.tsv", overwrite=True):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "p.tsv"]
