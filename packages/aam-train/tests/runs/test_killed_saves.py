"""kill -9 at every file operation of a save: the run resumes from a complete checkpoint, as if nothing had happened."""

from __future__ import annotations

import builtins
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from aam_train.errors import RunStopped
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.recipes import launch
from aam_train.recipes.pretrain import pretrain
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.jsonl import read_records
from aam_train.reporting.records import StepRecord
from aam_train.runs.checkpoints import Checkpoints

OPERATIONS = ("fsync", "rename", "replace", "mkdir", "symlink", "unlink", "rmdir")
Configs = Callable[..., Any]


def kill_at(number: int, folder: Path) -> None:
    """From now on, this process kills itself before the n-th operation on a file in ``folder``."""
    done = 0

    def counted(operation: Callable[..., Any]) -> Callable[..., Any]:
        def run(target: Any, *more: Any, **options: Any) -> Any:
            nonlocal done
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
            if options.get("dir_fd") is not None:  # as shutil.rmtree calls it
                path = os.readlink(f"/proc/self/fd/{options['dir_fd']}")
            mode = more[0] if more else options.get("mode", "r")
            if str(folder) in str(path) and not (operation is opened and "r" in str(mode)):
                done += 1
                if done == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            return operation(target, *more, **options)

        return run

    opened = io.open
    for name in OPERATIONS:
        setattr(os, name, counted(getattr(os, name)))
    builtins.open = io.open = counted(opened)  # type: ignore[assignment]


@pytest.fixture
def stopped(encoder_run: tuple[PretrainConfig, Path], changed: Configs, tmp_path: Path) -> PretrainConfig:
    """A run that was stopped after step 4 of 6; going on, it saves a best and a last checkpoint and removes others."""

    class Interrupting(ConsoleReporter):
        def step(self, record: StepRecord) -> None:
            if record.step == 4:
                os.kill(os.getpid(), signal.SIGTERM)

    config = changed(encoder_run[0], "run", output_dir=tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "ConsoleReporter", Interrupting)
        with pytest.raises(RunStopped):
            pretrain(config, quiet=True)
    return changed(config, "run", resume_from="auto")


def run_and_die(config: PretrainConfig, number: int) -> int:
    """The exit status of a child that goes on with the run and is killed at the n-th operation."""
    child = os.fork()
    if child == 0:
        try:
            kill_at(number, config.run.output_dir / "checkpoints")
            pretrain(config, quiet=True)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_killed_at_every_operation_of_its_saves(
    stopped: PretrainConfig, encoder_run: tuple[PretrainConfig, Path], changed: Configs, tmp_path: Path
) -> None:
    original, expected = stopped.run.output_dir, encoder_run[1]
    order = [(r["kind"], r["step"]) for r in read_records(expected / "metrics.jsonl")]
    for number in range(1, 200):
        run = tmp_path / f"at-{number}"
        shutil.copytree(original, run, symlinks=True)
        config = changed(stopped, "run", output_dir=run)
        shutil.copy(original / "config.toml", run)
        status = run_and_die(config, number)
        checkpoints = Checkpoints(run / "checkpoints")
        newest = checkpoints.newest()
        assert newest is not None
        assert newest.name in ("step-4", "step-6")
        for pointer in ("best", "last"):
            link = checkpoints.folder / pointer
            assert not link.is_symlink() or checkpoints.is_complete(link.readlink().name)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        if number % 4 == 0:
            pretrain(config, quiet=True)
            assert [(r["kind"], r["step"]) for r in read_records(run / "metrics.jsonl")] == order
            assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["best", "last", "step-6"]
            for name in ("model.safetensors", "train_state.safetensors"):
                found, wanted = (load_file(path / "checkpoints" / "last" / name) for path in (run, expected))
                assert all(found[key].tobytes() == wanted[key].tobytes() for key in wanted)
        shutil.rmtree(run)
    assert number > 20
    assert checkpoints.resolve("last") == "step-6"
