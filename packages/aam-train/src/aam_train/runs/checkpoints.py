"""Checkpoints of a run: immutable ``step-N`` folders, and ``best`` and ``last`` that point to them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from aam_models.errors import ModelError
from aam_models.storage.folders import new_folder, verify_folder, write_pointer
from aam_train.errors import TrainError

BEST, LAST = POINTERS = "best", "last"
_NOT_VALIDATED, _SHARDED = "-unjudged", "-parts"
_STEP = re.compile(rf"step-(\d+)({_NOT_VALIDATED})?({_SHARDED})?")
_LEFTOVER = re.compile(rf"\.(step-\d+({_NOT_VALIDATED})?({_SHARDED})?|best|last)\..*tmp")
SHARD_INDEX = "parts.json"  # index of a sharded checkpoint
STATE = "train_state.json"  # state of the trainer
ENSEMBLE = "ensemble.json"  # names of the models that are averaged


def is_pointer(name: str) -> bool:
    """Return whether this is the name of ``best`` or ``last``, or of what a killed program left of replacing one."""
    return name in POINTERS or name in (f".{pointer}.tmp" for pointer in POINTERS)


def checkpoint_name(step: int, *, validated: bool = True, sharded: bool = False) -> str:
    """Return the folder name of a checkpoint: ``step-N`` and its suffixes.

    ``-unjudged`` marks the end of an epoch whose validation is still to come, ``-parts`` a sharded checkpoint. A
    checkpoint before and after validation has the same weights but not the same metrics, and a published folder never
    changes, so the two have different names.
    """
    return f"step-{step}{'' if validated else _NOT_VALIDATED}{_SHARDED if sharded else ''}"


def save_error(path: Path, error: OSError) -> TrainError:
    """Return the error of a checkpoint that could not be written to disk."""
    free = shutil.disk_usage(path.parent).free
    return TrainError(
        f"{path}: the checkpoint could not be saved ({error.strerror}; {free / 1e6:,.1f} MB are free on this disk). "
        "Older checkpoints are unchanged. Free some disk space, then resume with --resume-from auto"
    )


class Checkpoints:
    """The ``checkpoints`` folder of a run; only what ``best`` and ``last`` point to is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, name: str, write: Callable[[Path], None]) -> Path:
        """Publish the folder ``name``, filled by ``write``; an existing one is left unchanged.

        Raises:
            TrainError: it cannot be written to disk; older checkpoints are unchanged and no incomplete one remains.
        """
        path = self.folder / name
        if path.exists():
            return path
        try:
            with new_folder(path) as temporary:
                write(temporary)
        except OSError as error:
            raise save_error(path, error) from error
        return path

    def has(self, name: str) -> bool:
        """Return whether a checkpoint has been published."""
        return (self.folder / name).exists()

    def point(self, pointer: str, name: str) -> None:
        """Point ``best`` or ``last`` to a checkpoint, and remove checkpoints that neither points to any more."""
        write_pointer(self.folder / pointer, self.folder / name)
        kept = {self.resolve(pointer) for pointer in (BEST, LAST)}
        for old in self.names():
            if old not in kept:
                shutil.rmtree(self.folder / old)

    def resolve(self, pointer: str) -> str | None:
        """Return the name of the checkpoint that ``best`` or ``last`` points to; None if there is none."""
        link = self.folder / pointer
        return link.readlink().name if link.is_symlink() and _STEP.fullmatch(link.readlink().name) else None

    def names(self) -> list[str]:
        """Return the names of all published checkpoints, the most advanced last."""
        if not self.folder.is_dir():
            return []
        return sorted((path.name for path in self.folder.iterdir() if _STEP.fullmatch(path.name)), key=_position)

    def newest(self) -> Path | None:
        """Return the most advanced checkpoint that is complete; None if there is none."""
        return next((self.folder / name for name in reversed(self.names()) if self.is_complete(name)), None)

    def is_complete(self, name: str) -> bool:
        """Return whether a checkpoint exists and is undamaged."""
        try:
            verify_folder(self.folder / name)
        except (ModelError, OSError):
            return False
        return True

    def later_than(self, name: str) -> list[str]:
        """Return the names of checkpoints that are more advanced than this one."""
        return [other for other in self.names() if _position(other) > _position(name)]

    def rewind(self, name: str | None, best_step: int | None) -> None:
        """Return the folder to the state of a checkpoint, whatever happened later or was interrupted.

        Remove later checkpoints and unfinished saves, and point ``last`` to ``name`` and ``best`` to the checkpoint of
        ``best_step``. Without a name nothing is left.
        """
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if path.name in (BEST, LAST) or _LEFTOVER.fullmatch(path.name):
                path.unlink() if path.is_symlink() else shutil.rmtree(path)
        for later in self.names() if name is None else self.later_than(name):
            shutil.rmtree(self.folder / later)
        if best_step is not None:
            write_pointer(self.folder / BEST, self.folder / checkpoint_name(best_step))
        if name is not None:
            self.point(LAST, name)


def _position(name: str) -> tuple[int, bool, bool]:
    """Return the sort key of a checkpoint: by step, not by time stamp.

    At the same step a validated checkpoint follows one that is not, and a whole checkpoint follows a sharded one.
    """
    match = _STEP.fullmatch(name)
    assert match is not None
    return int(match[1]), match[2] is None, match[3] is None


def model_folder(path: Path) -> Path:
    """Return the model folder that a path refers to: the folder itself, or the best checkpoint of a run folder.

    Raises:
        TrainError: the folder does not exist, or has no model to use.
    """
    best = path if path.parent.name == "checkpoints" and path.name in POINTERS else path / "checkpoints" / BEST
    if best.is_symlink():
        _check_pointer(best)
        return best
    if not path.is_dir():
        raise TrainError(f"{path}: no such folder. Pass a run folder or a model folder")
    if best.exists():
        return best
    if (path / "checkpoints").is_dir():
        raise TrainError(f"{path}: the run has no best checkpoint yet. Let it finish its first epoch")
    members = [member for member in run_folders_in(path) if (member / "checkpoints").is_dir()]
    if os.path.lexists(path / ENSEMBLE):
        one = f", such as {members[0]}" if members else f" of those in {ENSEMBLE}"
        raise TrainError(f"{path}: an ensemble of several models, and one is needed here. Pass one{one}")
    if members:
        raise TrainError(
            f"{path}: a run of several models without {ENSEMBLE}, which is written once all are finished, if they "
            f"predict the same. Pass one of them, such as {members[0]}, or resume the run with --resume-from auto"
        )
    if (path / SHARD_INDEX).is_file():
        raise TrainError(
            f"{path}: a sharded checkpoint can only be used to resume its run. Pass the run folder or its best "
            "checkpoint"
        )
    return path


def run_folders_in(path: Path) -> list[Path]:
    """Return the run folders within that of several models, in their order; an empty list for anything else.

    These are the folds of a cross-validation, or the members of ``--ensemble``.
    """
    if not path.is_dir():
        return []
    repeats = _numbered(path, "repeat-")
    folds = [fold for folder in (repeats or [path]) for fold in _numbered(folder, "fold-")]
    return folds or _numbered(path, "member-")


def _numbered(path: Path, prefix: str) -> list[Path]:
    numbers = [folder.name.removeprefix(prefix) for folder in path.glob(f"{prefix}*") if folder.is_dir()]
    return [path / f"{prefix}{number}" for number in sorted(int(each) for each in numbers if each.isdecimal())]


def _check_pointer(link: Path) -> None:
    """Raise TrainError unless ``best`` or ``last`` points to a checkpoint next to it."""
    target = link.readlink()
    checkpoint = link.parent / target.name
    if target != Path(target.name) or not _STEP.fullmatch(target.name) or checkpoint.is_symlink():
        raise TrainError(
            f"{link}: a link to {target}, which is not a checkpoint of this run. Pass the model's own folder"
        )
    if not checkpoint.is_dir():
        raise TrainError(
            f"{link}: a link to {target}, which does not exist. Copy the run again with all its checkpoints, or resume "
            "it with --resume-from auto"
        )


def run_folder_of(model: Path) -> Path | None:
    """Return the run folder that a model folder is part of; None if it is not part of one."""
    checkpoints = model.resolve().parent
    run = checkpoints.parent
    return run if checkpoints.name == "checkpoints" and (run / "config.toml").is_file() else None
