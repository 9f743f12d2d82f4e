"""Real signals to real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aam_train.errors import RunStopped
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.options.toml import config_to_toml
from aam_train.recipes.pretrain import pretrain
from aam_train.reporting.jsonl import read_records
from aam_train.runs.checkpoints import Checkpoints
from aam_train.signals import Interrupted, StopFlag, exit_code_of

PROGRAM = """
import sys
from pathlib import Path
from aam_train.options.toml import config_from_toml
from aam_train.errors import RunStopped
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.recipes.pretrain import pretrain

try:
    pretrain(config_from_toml(Path(sys.argv[1]).read_text(), PretrainConfig))
except RunStopped as stop:
    sys.exit(stop.exit_code)
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGUSR1", 85), ("SIGHUP", 129)])
def test_the_first_signal_sets_a_flag_the_second_acts_at_once(name: str, code: int) -> None:
    number, heard = signal.Signals[name], []
    before = signal.signal(number, lambda *_: heard.append("acted"))
    try:
        with StopFlag() as stop:
            stop.check()
            os.kill(os.getpid(), number)
            assert (stop.received, heard) == (name, [])
            with pytest.raises(RunStopped, match=f"{name}: nothing was saved") as stopped:
                stop.check()
            with pytest.raises(Interrupted) as interrupt:
                os.kill(os.getpid(), number)
            assert stopped.value.exit_code == exit_code_of(interrupt.value) == code
            os.kill(os.getpid(), number)
            assert heard == ["acted"]
        os.kill(os.getpid(), number)
        assert heard == ["acted", "acted"]
    finally:
        signal.signal(number, before)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[PretrainConfig], subprocess.Popen[str]]]:
    """A function that starts a pretraining in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def begin(config: PretrainConfig) -> subprocess.Popen[str]:
        (tmp_path / "settings.toml").write_text(config_to_toml(config))
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "settings.toml")]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for_step(run: Path, step: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        metrics = run / "metrics.jsonl"
        if metrics.exists() and any(record["step"] >= step for record in read_records(metrics)):
            return
        time.sleep(0.01)
    pytest.fail("the run did not begin")


def test_sigterm_to_all_processes_of_a_job(
    pretrain_config: Callable[..., PretrainConfig],
    changed: Callable[..., PretrainConfig],
    start: Callable[[PretrainConfig], subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    """As Slurm does it: the main process and its two workers get the signal."""
    config = pretrain_config(tmp_path / "run", run={"epochs": 1000, "num_workers": 2})
    process = start(config)
    wait_for_step(tmp_path / "run", 2, process)
    os.killpg(process.pid, signal.SIGTERM)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 143, text
    checkpoint = Checkpoints(tmp_path / "run" / "checkpoints").newest()
    assert checkpoint is not None
    step = int(checkpoint.name.split("-")[1])
    records = read_records(tmp_path / "run" / "metrics.jsonl")
    assert [r["step"] for r in records if r["kind"] == "step"] == list(range(1, step + 1))
    pretrain(changed(config, "run", resume_from="auto", epochs=step // 3 + 1, num_workers=0), quiet=True)
    records = read_records(tmp_path / "run" / "metrics.jsonl")
    assert [r["step"] for r in records if r["kind"] == "step"] == list(range(1, 3 * (step // 3 + 1) + 1))


def test_a_closed_terminal_saves_the_run_unless_nohup_says_otherwise(
    pretrain_config: Callable[..., PretrainConfig], start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # inherited; these tests may run under nohup
    try:
        process = start(pretrain_config(tmp_path / "run", run={"epochs": 1000}))
        wait_for_step(tmp_path / "run", 2, process)
        os.kill(process.pid, signal.SIGHUP)
        _, text = process.communicate(timeout=60)
        assert process.returncode == 129, text
        checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
        assert checkpoints.resolve("last") is not None
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        with StopFlag() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_killed_at_any_moment(
    pretrain_config: Callable[..., PretrainConfig],
    changed: Callable[..., PretrainConfig],
    start: Callable[[PretrainConfig], subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    config = pretrain_config(tmp_path / "run", run={"epochs": 1000, "patience": 0})
    process = start(config)
    wait_for_step(tmp_path / "run", 10, process)
    process.kill()
    process.communicate(timeout=60)
    run = pretrain(changed(config, "run", resume_from="auto", epochs=1, num_workers=0), quiet=True)
    steps = [r["step"] for r in read_records(run / "metrics.jsonl") if r["kind"] == "step"]
    assert steps == list(range(1, len(steps) + 1))
    checkpoints = Checkpoints(run / "checkpoints")
    assert checkpoints.resolve("last") == f"step-{steps[-1]}"
    assert all(checkpoints.is_complete(name) for name in checkpoints.names())
    assert not [path.name for path in checkpoints.folder.iterdir() if path.name.startswith(".")]
