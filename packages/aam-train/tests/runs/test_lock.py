"""The lock of a run's folder: one program at a time."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aam_train.errors import RunStopped, TrainError
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.recipes.pretrain import pretrain
from aam_train.runs.lock import LOCK, Holder, locked, record_start

HOLD = """
import sys, time
from pathlib import Path
from aam_train.errors import TrainError
from aam_train.runs.lock import locked
try:
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
except TrainError:
    print("refused", flush=True)
"""


def start(folder: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def content(folder: Path) -> str:
    return (folder / LOCK).read_text()


def test_a_second_program_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    first = start(tmp_path, 60)
    try:
        assert line(first) == "held"
        with pytest.raises(TrainError, match=rf"process {first.pid} on .*, started 20.* is writing to this run\. Wait"):
            locked(tmp_path).__enter__()
    finally:
        first.kill()
        first.communicate()
    with locked(tmp_path) as before:  # a killed process loses its lock, and is named
        assert before is not None
        assert before.pid == first.pid
        assert json.loads(content(tmp_path))["pid"] == os.getpid()
    assert content(tmp_path) == ""
    with locked(tmp_path) as before:
        assert before is None


def test_of_several_that_start_at_once_one_wins(tmp_path: Path) -> None:
    processes = [start(tmp_path, 3) for _ in range(4)]
    answers = sorted(line(process) for process in processes)
    for process in processes:
        process.communicate()
    assert answers == ["held", "refused", "refused", "refused"]


def test_given_back_however_the_run_ends(tmp_path: Path) -> None:
    for error in (RunStopped("SIGTERM", 143), KeyboardInterrupt(), ValueError("bug")):
        with pytest.raises(type(error)), locked(tmp_path):
            raise error
        with locked(tmp_path) as before:
            assert before is None


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"host": "elsewhere"}, True),
        ({"host": "elsewhere", "job": "77"}, False),  # the same job, requeued on another host
        ({"host": "elsewhere", "job": "78"}, True),
        ({"pid": 2**22 + 1}, False),  # no such process
        ({"birth": 1}, False),  # another process with this number
    ],
)
def test_locks_that_were_left_behind(
    change: dict[str, Any], refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    left = dataclasses.replace(Holder.me(), job=None)
    (tmp_path / LOCK).write_text(json.dumps(dataclasses.asdict(left) | change))
    if refused:
        with pytest.raises(TrainError, match=r"elsewhere.*if that process no longer exists, remove .*run\.lock"):
            locked(tmp_path).__enter__()
    else:
        with locked(tmp_path) as before:
            assert before is not None
            assert json.loads(content(tmp_path))["job"] == "77"


@pytest.mark.parametrize("text", ["", "{", '{"host": 1}', "[]"])
def test_a_lock_that_was_cut_is_nobodys(text: str, tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(text)
    with locked(tmp_path) as before:
        assert before is None


def test_starts_are_counted(tmp_path: Path) -> None:
    notes: list[str] = []
    record_start(tmp_path, 0, {"torch": "1"}, notes.append)
    starts = record_start(tmp_path, 7, {"torch": "2"}, notes.append)
    assert notes == []
    assert [(start["start"], start["from_step"], start["versions"]) for start in starts] == [
        (1, 0, {"torch": "1"}),
        (2, 7, {"torch": "2"}),
    ]
    assert starts[1]["pid"] == os.getpid()


def test_two_runs_in_one_folder(
    pretrain_config: Callable[..., PretrainConfig],
    changed: Callable[..., PretrainConfig],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = pretrain_config(tmp_path / "run", run={"epochs": 1})
    pretrain(config, quiet=True)
    holder = start(tmp_path / "run", 60)
    try:
        assert line(holder) == "held"
        before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
        with pytest.raises(TrainError, match=f"process {holder.pid} on"):
            pretrain(changed(config, "run", resume_from="auto", epochs=2), quiet=True)
        assert {path: path.read_bytes() for path in before} == before
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    capsys.readouterr()
    pretrain(changed(config, "run", resume_from="auto", epochs=2))
    text = capsys.readouterr().err
    assert f"a previous run in {tmp_path / 'run'} was killed (process {holder.pid} on" in text
    assert "start 2 of this run, from step 3" in text
    assert time.strftime("%Y-") in (tmp_path / "run" / "starts.jsonl").read_text()
