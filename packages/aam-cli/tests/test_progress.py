"""Progress on standard error, and the messages of an interrupted ``aam unifrac``."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aam_cli import progress
from aam_cli.errors import Program
from aam_cli.progress import ProgressLine
from aam_data.options.simulate import SimulateOptions
from aam_data.readers.distances.matrix import read_distances
from aam_data.simulate.study import simulate_study, write_simulated_study


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """``time.monotonic`` that a test moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(monkeypatch)
    show = ProgressLine(Program(), "weighted")
    for second in range(41):
        clock.now = float(second)
        show(0.2 + second * 0.001)
    show.close()
    assert show.share == pytest.approx(0.24)
    assert capsys.readouterr().err.splitlines() == [
        "weighted: 22%, about 13 min left",
        "weighted: 23%, about 13 min left",
    ]


def test_the_rest_in_seconds_or_hours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(monkeypatch)
    show = ProgressLine(Program(), "unifrac")
    for clock.now, share in ((0.0, 0.5), (20.0, 0.5), (40.0, 0.501), (60.0, 0.98)):
        show(share)
    assert capsys.readouterr().err.splitlines() == [
        "unifrac: 50%",
        "unifrac: 50%, about 5.5 h left",
        "unifrac: 98%, about 3 s left",
    ]


def test_a_terminal_gets_one_line_that_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, terminal = Clock(monkeypatch), Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    show = ProgressLine(Program(), "unifrac")
    for clock.now, share in ((0.1, 0.1), (0.3, 0.5), (0.4, 0.6), (0.6, 0.9)):
        show(share)
    show.close()
    assert terminal.getvalue() == "\r\033[Kunifrac: 50%\r\033[Kunifrac: 90%\r\033[K"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_quiet(stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stderr = Clock(monkeypatch), stream()
    monkeypatch.setattr("sys.stderr", stderr)
    show = ProgressLine(Program(quiet=True), "unifrac")
    for clock.now in (1.0, 100.0):
        show(0.5)
    show.close()
    assert stderr.getvalue() == ""


INTERRUPTED = """
import os, signal, sys
from aam_cli.main import main
from aam_cli.progress import ProgressLine
show = ProgressLine.__call__
def interrupted(self, share):
    show(self, share)
    if share > 0.4:
        os.kill(os.getpid(), getattr(signal, os.environ["STOP"]))
ProgressLine.__call__ = interrupted
main()
"""


def _hear_interrupts() -> None:
    """Shells let the programs that they start in the background ignore SIGINT, and those that they start in turn."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGUSR1", 85)])
def test_an_interrupted_matrix_is_continued_by_the_same_command(tmp_path: Path, name: str, status: int) -> None:
    write_simulated_study(simulate_study(SimulateOptions(samples=300, asvs=60, hosts=30, depth=500)), tmp_path)
    files = ["--table", tmp_path / "table.biom", "--tree", tmp_path / "tree.nwk", "--output", tmp_path / "d.h5"]
    arguments = ["unifrac", *map(str, files)]
    command, environment = [sys.executable, "-c", INTERRUPTED, *arguments], os.environ | {"STOP": name}
    stopped = subprocess.run(command, capture_output=True, text=True, env=environment, preexec_fn=_hear_interrupts)
    assert stopped.returncode == status
    assert stopped.stderr.splitlines()[-1] == "stopped: 47% done; the same command continues from there"
    assert stopped.stdout == ""
    done = subprocess.run([sys.executable, "-m", "aam_cli", *arguments], capture_output=True, text=True)
    assert done.returncode == 0
    assert "continuing d.h5.partial, which has 2 blocks" in done.stderr.splitlines()
    assert len(read_distances(tmp_path / "d.h5").ids) == 300
    assert not list(tmp_path.glob("*.partial*"))
