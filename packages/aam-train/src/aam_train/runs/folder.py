"""Folder of a run: checked before inputs are read, created after them, recognised when the run is resumed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from aam_data.writers.atomic import atomic_write
from aam_models.errors import ModelError
from aam_models.storage.bounded_text import MAX_SETTINGS, read_bounded_text
from aam_models.storage.folders import verify_folder
from aam_train.errors import TrainError
from aam_train.options.parallel import ParallelOptions
from aam_train.options.run import RunOptions
from aam_train.options.toml import ConfigError, config_from_toml, config_to_toml, flat_settings, is_toml
from aam_train.reporting.records import Reporter
from aam_train.runs.checkpoints import Checkpoints
from aam_train.runs.lock import locked, record_start
from aam_train.runs.plain_folder import check_plain
from aam_train.runs.records import read_training
from aam_train.versions import versions

CONFIG = "config.toml"
# Options that may differ when a run is resumed; any other difference would make it another run.
FREE_TO_CHANGE = {
    "resume_from",
    "lr",
    "categorical_lr",
    "epochs",
    "patience",
    "device",
    "num_workers",
    "output_dir",
    "memory_profile",
    "profile",
    "baselines",
} | {field.name for field in fields(ParallelOptions)}


_DELETE = "delete it: the run then continues with the settings of this command"
_OTHER_COMMAND = "Resume with the command that started the run, or use another --output-dir"


@dataclass(frozen=True)
class RunFolder:
    """Folder of a run that passed all checks.

    Attributes:
        path: the folder.
        config: the root configuration with all settings.
        resume: the checkpoint to resume from; None to start from scratch.
        within: for a fold, the folder of all folds.
    """

    path: Path
    config: Any
    resume: Path | None
    within: RunFolder | None = None

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.path / "checkpoints")

    @property
    def report(self) -> Path:
        return self.path / "report"

    @contextlib.contextmanager
    def open(self, inputs: list[dict[str, Any]], reporter: Reporter) -> Iterator[None]:
        """Create the folder, write ``config.toml`` and hold the folder's lock while the run lasts.

        Args:
            inputs: the files that the run has read, as `TrainingRecord.inputs`.
            reporter: notified when a run is resumed.

        Raises:
            TrainError: an input changed since the run started, or another program uses the folder; nothing was written.
        """
        if self.resume is not None:
            _check_same_inputs(self.resume, inputs)
        with contextlib.nullcontext() if self.within is None else self.within._locked(reporter), self._locked(reporter):
            self._log_start(reporter)
            yield

    @contextlib.contextmanager
    def _locked(self, reporter: Reporter) -> Iterator[None]:
        """Create and lock the folder, and write the settings."""
        self.path.mkdir(parents=True, exist_ok=True)
        check_plain(self.path)
        with locked(self.path) as previous:
            self._check_not_overtaken()
            if previous is not None:
                reporter.note(f"a previous run in {self.path} was killed ({previous.describe()})")
            if self.resume is not None and not (self.path / CONFIG).exists():
                reporter.note(
                    f"warning: {self.path / CONFIG} is missing: nothing checks that these are the run's settings"
                )
            self.report.mkdir(exist_ok=True)
            with atomic_write(self.path / CONFIG) as temporary:
                temporary.write_text(config_to_toml(self.config), encoding="utf-8")
            yield

    def _check_not_overtaken(self) -> None:
        """Raise TrainError if another run started, and perhaps finished, here since `check_run`."""
        newest = Checkpoints(self.path / "checkpoints").newest()
        if self.resume is None and newest is not None:
            raise TrainError(f"--output-dir {self.path}: another run has used this folder meanwhile. Use another one")

    def _log_start(self, reporter: Reporter) -> None:
        step = 0 if self.resume is None else int(self.resume.name.split("-")[1])
        *earlier, now = record_start(self.path, step, versions(), reporter.note)
        if not earlier:
            return
        reporter.note(f"start {now['start']} of this run, from step {step:,}")
        changed = [
            f"{name} {earlier[-1]['versions'].get(name)} -> {version}"
            for name, version in now["versions"].items()
            if earlier[-1]["versions"].get(name) != version
        ]
        if changed:
            reporter.note(f"warning: versions have changed since the last start: {', '.join(changed)}")


def check_run(config: Any, run: RunOptions, fold: str = "", within: RunFolder | None = None) -> RunFolder:
    """Check a run's folder before inputs are read; write nothing.

    Args:
        config: the root configuration with all settings.
        run: its run options.
        fold: name of a fold's folder, such as ``fold-1``, within that of all folds; empty for ``--output-dir`` itself.
        within: the folder of all folds.

    Raises:
        TrainError: the folder contains something else, or another run.
    """
    path = run.output_dir / fold
    flat_settings(config)  # raises for what config.toml cannot store
    if run.resume_from is not None and path.is_dir():
        check_plain(path)
    resume = find_checkpoint(path, run.resume_from)
    if resume is not None or (run.resume_from == "auto" and (path / CONFIG).is_file()):
        _check_same_run(path, config)
    else:
        check_unused(path, "" if run.resume_from else ", or pass --resume-from auto to resume the run in it")
    return RunFolder(path, config, resume, within)


def check_unused(path: Path, or_else: str = "") -> None:
    """Raise TrainError unless the folder is absent or empty; ``or_else`` names another remedy."""
    if path.exists() and not path.is_dir():
        raise TrainError(f"--output-dir {path}: this is a file. Use a folder that does not exist yet")
    if path.is_symlink() and not path.exists():
        raise TrainError(f"--output-dir {path}: a link to {path.readlink()}, which does not exist. Use another folder")
    parent = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir():
        raise TrainError(f"--output-dir {path}: {parent} is not a folder, so none can be created in it")
    if path.is_dir() and any(path.iterdir()):
        raise TrainError(f"--output-dir {path}: the folder is not empty. Use a new one{or_else}")


def find_checkpoint(path: Path, resume_from: str | None) -> Path | None:
    """Return the checkpoint that ``--resume-from`` refers to; None without the option, or if ``auto`` finds none."""
    if resume_from is None:
        return None
    checkpoints = Checkpoints(path / "checkpoints")
    if resume_from == "auto":
        return checkpoints.newest()
    wanted = Path(resume_from).resolve()
    if wanted.parent != checkpoints.folder.resolve() or not wanted.name.startswith("step-"):
        raise TrainError(
            f"--resume-from {resume_from}: not a checkpoint of --output-dir {path} (checkpoints/step-N, best or last)"
        )
    verify_folder(wanted)
    return wanted


def _check_same_run(path: Path, config: Any) -> None:
    stored = path / CONFIG
    if not stored.exists():  # deleted because it was damaged, as the error below says: nothing to compare with
        return
    try:
        text = read_bounded_text(stored, MAX_SETTINGS)
        stored_values = flat_settings(config_from_toml(text, type(config)))
    except ConfigError as error:
        raise TrainError(
            f"{stored}: not the settings of a run of this command: {error}. "
            + (_OTHER_COMMAND if is_toml(text) else f"If it is damaged, {_DELETE}")
        ) from error
    except ModelError as error:
        raise TrainError(f"{error}, or {_DELETE}") from error
    values = flat_settings(config)
    changed = [
        f"--{name.replace('_', '-')} was {stored_values.get(name, 'not given')}, is {values.get(name, 'not given')}"
        for name in sorted(stored_values.keys() | values.keys())
        if stored_values.get(name) != values.get(name) and name not in FREE_TO_CHANGE
    ]
    if changed:
        raise TrainError(f"{path}: the run cannot be resumed with other settings: {'; '.join(changed)}")


def _check_same_inputs(checkpoint: Path, inputs: list[dict[str, Any]]) -> None:
    recorded = read_training(checkpoint).inputs
    if len(recorded) != len(inputs):
        raise TrainError(f"{checkpoint}: made from {len(recorded)} files, but there are {len(inputs)} now")
    changed = [str(now["path"]) for then, now in zip(recorded, inputs, strict=True) if then != now]
    if changed:
        raise TrainError(
            f"{', '.join(changed)}: the file has changed since the run started, so the run cannot be resumed"
        )
