"""Full disks, closed pipes, folders that are gone, exhausted memory: one line and exit status 2, no traceback."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from aam_cli.errors import run_program
from aam_cli.os_errors import memory_text, os_error_text

Capture = pytest.CaptureFixture[str]
AAM = [sys.executable, "-W", "error", "-m", "aam_cli"]
LIMITED = """
import resource, signal, sys
from aam_cli.main import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
main()
"""


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "x", "p.tsv"),
            "p.tsv: No space left on device. Free some disk space",
        ),
        (OSError(errno.EDQUOT, "x", "p.tsv"), "p.tsv: Disk quota exceeded. Delete some of your files"),
        (
            OSError(errno.EFBIG, "x", b"p\xff.tsv"),
            "p\\xff.tsv: File too large. Raise the limit of file sizes (ulimit -f)",
        ),
        (OSError(errno.EACCES, "x", "p.tsv"), "p.tsv: Permission denied. Change its permissions"),
        (OSError(errno.ENOENT, "x", "p.tsv"), "p.tsv: No such file or directory"),
        (OSError(errno.ENOSPC, "x"), "a file that cannot be named: No space left on device. Free some"),
    ],
)
def test_errors_of_the_system_say_what_helps(error: OSError, message: str) -> None:
    text = os_error_text(error)
    assert text is not None
    assert text.startswith(message)


def test_what_the_system_did_not_report_is_a_bug() -> None:
    assert os_error_text(OSError("no number")) is None
    assert os_error_text(OSError(errno.ECHILD, "no child")) is None


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("could not create a primitive"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_exhausted_memory_says_what_helps(error: Exception, capsys: Capture) -> None:
    def fail() -> None:
        raise error

    assert run_program(click.Command("fail", callback=fail), []) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: there is not enough memory. A model needs less with a smaller --batch-size")
    assert err.count("\n") == 1
    assert memory_text(RuntimeError("shapes")) is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["train", "--help-all"], ["doctor"]])
def test_standard_output_on_a_full_disk(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*AAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output: No space left on device. Free some disk space")
    assert done.stderr.count("\n") == 1


def test_messages_on_a_full_disk_do_not_change_the_status() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*AAM, "show", "absent.biom"], stdout=subprocess.PIPE, stderr=full, text=True)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help-all"], ["doctor", "--json"]])
def test_a_pipe_that_nobody_reads_ends_the_program_quietly(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*AAM, *arguments], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(closed: str, study: Path, tmp_path: Path) -> None:
    files = ("--table", study / "table.biom", "--tree", study / "tree.nwk")
    expected, found = tmp_path / "expected.tsv", tmp_path / "found.tsv"
    assert run(*AAM, "unifrac", *files, "--output", expected).returncode == 0
    done = run("sh", "-c", f'exec "$@" {closed}', "sh", *AAM, "unifrac", *files, "--output", found)
    assert done.returncode == 0, done.stderr
    assert found.read_bytes() == expected.read_bytes()


def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    done = run(sys.executable, "-c", code, "-P", "-m", "aam_cli", "simulate", "--output-dir", "study", cwd=gone)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files") / "study"
    size = ("--samples", "40", "--asvs", "80", "--hosts", "10", "--bases", "40", "--depth", "500")
    assert run(*AAM, "simulate", "--quiet", *size, "--output-dir", folder).returncode == 0
    return folder


def test_files_that_cannot_grow_are_named(study: Path, tmp_path: Path) -> None:
    """A limit on the size of files is what any user can have; a full disk fails at the same calls."""
    table, metadata = ("--table", study / "table.biom"), ("--metadata", study / "metadata.tsv")
    tree = ("--tree", study / "tree.nwk")
    out = tmp_path / "out"
    out.mkdir()
    target = ("--metadata-column", "degree_days", "--rarefy-depth", "100", "--n-estimators", "5", "--n-jobs", "1")
    cases: list[tuple[int, tuple[object, ...], str]] = [
        *(
            (
                limit,
                ("simulate", "--samples", "100", "--asvs", "800", "--output-dir", out / f"s{limit}"),
                "File too large",
            )
            for limit in (2000, 20_000, 50_000)
        ),
        (20_000, ("unifrac", *table, *tree, "--output", out / "d.tsv"), "d.tsv: File too large"),
        (5000, ("unifrac", *table, *tree, "--output", out / "d.h5"), "d.h5: File too large"),
        (2000, ("unifrac", *table, *tree, "--output", out / "d.npy"), "d.npy: File too large"),
        (300, ("rf-baseline", *table, *metadata, *target, "--output", out / "p.tsv"), "tsv: File too large"),
    ]
    for limit, arguments, message in cases:
        done = run(sys.executable, "-c", LIMITED, limit, *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"error: {out}")
        assert f"{message}. Raise the limit of file sizes" in last
        assert not [path for path in out.rglob("*") if path.is_file() and path.stat().st_size == limit], arguments
