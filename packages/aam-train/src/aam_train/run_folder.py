"""A run's folder: opened once, refused when it holds something else, recognised when a run continues."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aam_models.folders import verify_folder
from aam_train.checkpoint import Checkpoints
from aam_train.config import RunOptions
from aam_train.config_io import config_from_toml, config_to_dict, config_to_toml
from aam_train.errors import TrainError

# What may differ when a run continues; everything else would make it another run.
FREE_TO_CHANGE = {"resume_from", "lr", "epochs", "patience", "device", "num_workers", "output_dir"}


@dataclass(frozen=True)
class RunFolder:
    """An open run folder.

    Attributes:
        resume: the checkpoint to continue from; None for a new run.
    """

    path: Path
    resume: Path | None

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.path / "checkpoints")

    @property
    def report(self) -> Path:
        return self.path / "report"


def open_run(config: Any, run: RunOptions, path: Path | None = None) -> RunFolder:
    """Make a run's folder, or continue in it.

    Args:
        config: the root with all settings; stored as ``config.toml``.
        run: its run options.
        path: the folder, when it is not ``--output-dir`` itself (folds).

    Raises:
        TrainError: the folder holds something else, or another run; nothing was written.
    """
    path = path or run.output_dir
    resume = find_checkpoint(path, run.resume_from)
    if resume is not None:
        _check_same_run(path, config)
        Checkpoints(path / "checkpoints").forget_after(int(resume.name.partition("-")[2]))
    elif run.resume_from == "auto" and (path / "config.toml").is_file():
        _check_same_run(path, config)  # stopped before its first checkpoint: start again
    else:
        refuse_used(path, run.resume_from)
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.toml").write_text(config_to_toml(config), encoding="utf-8")
    (path / "report").mkdir(exist_ok=True)
    return RunFolder(path, resume)


def refuse_used(path: Path, resume_from: str | None = None) -> None:
    """A new run needs a folder that is not there or is empty."""
    if path.exists() and not path.is_dir():
        raise TrainError(f"--output-dir {path}: this is a file. Name a folder that does not exist yet")
    if path.is_dir() and any(path.iterdir()):
        remedy = "" if resume_from else ", or give --resume-from auto to continue the run in it"
        raise TrainError(f"--output-dir {path}: the folder is not empty. Name a new one{remedy}")


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
    stored = path / "config.toml"
    if not stored.is_file():
        raise TrainError(f"{path}: has checkpoints but no config.toml, so it cannot be continued")
    before = _flat(config_from_toml(stored.read_text(encoding="utf-8"), type(config)))
    now = _flat(config)
    changed = [
        f"--{name.replace('_', '-')} was {before.get(name, 'not given')}, is {now.get(name, 'not given')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name) and name not in FREE_TO_CHANGE
    ]
    if changed:
        raise TrainError(f"{path}: --resume-from would continue another run: {'; '.join(changed)}")


def _flat(config: Any) -> dict[str, Any]:
    return {name: value for section in config_to_dict(config).values() for name, value in section.items()}
