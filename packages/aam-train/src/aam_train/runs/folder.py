"""A run's folder: refused when it holds something else, recognised when a run continues, made when inputs are good."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from aam_data.writers.atomic import replacing
from aam_models.storage.folders import verify_folder
from aam_train.errors import TrainError
from aam_train.options.parallel import ParallelOptions
from aam_train.options.run import RunOptions
from aam_train.options.toml import ConfigError, config_from_toml, config_to_dict, config_to_toml
from aam_train.reporting.records import Reporter
from aam_train.runs.checkpoints import Checkpoints
from aam_train.runs.lock import locked, record_start
from aam_train.runs.records import read_training
from aam_train.versions import versions

CONFIG = "config.toml"
# What may differ when a run continues; everything else would make it another run.
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
} | {field.name for field in fields(ParallelOptions)}


@dataclass(frozen=True)
class RunFolder:
    """A run's folder that was found fit for the run.

    Attributes:
        path: the folder.
        config: the root with all settings.
        resume: the checkpoint to continue from; None for a run from the start.
        within: the folder of all folds that this one is a fold of.
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
        """Make the folder and hold its lock for the time of the run, with the settings in ``config.toml``.

        Args:
            inputs: the files that the run has read, as `TrainingRecord.inputs`.
            reporter: told when the run goes on.

        Raises:
            TrainError: an input changed since the run began, or another program is in the folder; nothing was written.
        """
        if self.resume is not None:
            _check_same_inputs(self.resume, inputs)
        with contextlib.nullcontext() if self.within is None else self.within._held(reporter), self._held(reporter):
            self._tell_start(reporter)
            yield

    @contextlib.contextmanager
    def _held(self, reporter: Reporter) -> Iterator[None]:
        """The folder is there, locked, and holds the settings."""
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path) as left_behind:
            self._refuse_overtaken()
            if left_behind is not None:
                reporter.note(f"the run in {self.path} was ended from outside: {left_behind.words()}")
            self.report.mkdir(exist_ok=True)
            with replacing(self.path / CONFIG) as temporary:
                temporary.write_text(config_to_toml(self.config), encoding="utf-8")
            yield

    def _refuse_overtaken(self) -> None:
        """Somebody else may have begun (and even ended) a run here since `check_run` looked."""
        found = Checkpoints(self.path / "checkpoints").newest()
        if self.resume is None and found is not None:
            raise TrainError(f"--output-dir {self.path}: another run has been here meanwhile. Name another folder")

    def _tell_start(self, reporter: Reporter) -> None:
        step = 0 if self.resume is None else int(self.resume.name.split("-")[1])
        *before, now = record_start(self.path, step, versions())
        if not before:
            return
        reporter.note(f"start {now['start']} of this run, from step {step:,}")
        changed = [
            f"{name} {before[-1]['versions'].get(name)} -> {version}"
            for name, version in now["versions"].items()
            if before[-1]["versions"].get(name) != version
        ]
        if changed:
            reporter.note(f"warning: other versions than at the last start: {', '.join(changed)}")


def check_run(config: Any, run: RunOptions, fold: int = 0, within: RunFolder | None = None) -> RunFolder:
    """Look at a run's folder before anything is read; writes nothing.

    Args:
        config: the root with all settings.
        run: its run options.
        fold: from 1, for the folder of one fold in that of all; 0 for ``--output-dir`` itself.
        within: the folder of all folds.

    Raises:
        TrainError: the folder holds something else, or another run.
    """
    path = run.output_dir / f"fold-{fold}" if fold else run.output_dir
    resume = find_checkpoint(path, run.resume_from)
    if resume is not None or (run.resume_from == "auto" and (path / CONFIG).is_file()):
        _check_same_run(path, config)
    else:
        refuse_used(path, "" if run.resume_from else ", or give --resume-from auto to continue the run in it")
    return RunFolder(path, config, resume, within)


def refuse_used(path: Path, or_else: str = "") -> None:
    """What is new needs a folder that is not there or is empty; ``or_else`` names another way out."""
    if path.exists() and not path.is_dir():
        raise TrainError(f"--output-dir {path}: this is a file. Name a folder that does not exist yet")
    if path.is_dir() and any(path.iterdir()):
        raise TrainError(f"--output-dir {path}: the folder is not empty. Name a new one{or_else}")


def find_checkpoint(path: Path, resume_from: str | None) -> Path | None:
    """The checkpoint that ``--resume-from`` means; ``auto`` may find none."""
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
    if not stored.is_file():
        raise TrainError(f"{path}: has checkpoints but no {CONFIG}, so it cannot be continued")
    try:
        before = _flat(config_from_toml(stored.read_text(encoding="utf-8"), type(config)))
    except ConfigError as error:
        raise TrainError(f"{stored}: not the settings of such a run, so it cannot be continued: {error}") from error
    now = _flat(config)
    changed = [
        f"--{name.replace('_', '-')} was {before.get(name, 'not given')}, is {now.get(name, 'not given')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name) and name not in FREE_TO_CHANGE
    ]
    if changed:
        raise TrainError(f"{path}: --resume-from would continue another run: {'; '.join(changed)}")


def _check_same_inputs(checkpoint: Path, inputs: list[dict[str, Any]]) -> None:
    before = read_training(checkpoint).inputs
    changed = [now["path"] for then, now in zip(before, inputs, strict=True) if then != now]
    if changed:
        raise TrainError(f"{', '.join(changed)}: the file changed since the run began, so it cannot be continued")


def _flat(config: Any) -> dict[str, Any]:
    return {name: value for section in config_to_dict(config).values() for name, value in section.items()}
