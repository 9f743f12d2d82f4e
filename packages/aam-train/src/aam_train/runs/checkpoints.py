"""Checkpoints of a run: immutable ``step-N`` folders, and ``best`` and ``last`` that point to them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from aam_models.errors import ModelError
from aam_models.storage.folders import new_folder, verify_folder, write_pointer
from aam_train.errors import TrainError

BEST, LAST = "best", "last"
_UNJUDGED = "-unjudged"
_IN_PARTS = "-parts"
_STEP = re.compile(rf"step-(\d+)({_UNJUDGED})?({_IN_PARTS})?")
_LEFTOVER = re.compile(rf"\.(step-\d+({_UNJUDGED})?({_IN_PARTS})?|best|last)\..*tmp")
PARTS = "parts.json"  # the index of a checkpoint in parts
STATE = "train_state.json"  # where the run stood


def checkpoint_name(step: int, *, judged: bool = True, parts: bool = False) -> str:
    """``step-N``; ``step-N-unjudged`` at the end of an epoch whose validation is still to come; ``-parts`` after it
    where every process has written its own part.

    The two hold the same weights, but not the same metrics, and a published folder is never changed.
    """
    return f"step-{step}{'' if judged else _UNJUDGED}{_IN_PARTS if parts else ''}"


def not_saved(path: Path, error: OSError) -> TrainError:
    """What to say when the disk did not take a checkpoint."""
    free = shutil.disk_usage(path.parent).free
    return TrainError(
        f"{path}: the checkpoint could not be saved ({error.strerror}; {free / 1e6:,.1f} MB are free on this disk). "
        "Older ones are as they were: make room, then continue with --resume-from auto"
    )


class Checkpoints:
    """The ``checkpoints`` folder of a run; only what ``best`` and ``last`` point to is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, name: str, write: Callable[[Path], None]) -> Path:
        """Publish the folder ``name``, filled by ``write``; one that is there already is left as it is.

        Raises:
            TrainError: the disk does not take it; older checkpoints are as they were, nothing of it is left.
        """
        path = self.folder / name
        if path.exists():
            return path
        try:
            with new_folder(path) as temporary:
                write(temporary)
        except OSError as error:
            raise not_saved(path, error) from error
        return path

    def has(self, name: str) -> bool:
        """Whether a checkpoint has been published."""
        return (self.folder / name).exists()

    def point(self, pointer: str, name: str) -> None:
        """Let ``best`` or ``last`` point to a checkpoint, and remove what nothing points to any more."""
        write_pointer(self.folder / pointer, self.folder / name)
        kept = {self.target(pointer) for pointer in (BEST, LAST)}
        for old in self.names():
            if old not in kept:
                shutil.rmtree(self.folder / old)

    def target(self, pointer: str) -> str | None:
        """The checkpoint that ``best`` or ``last`` points to."""
        link = self.folder / pointer
        return link.readlink().name if link.is_symlink() and _STEP.fullmatch(link.readlink().name) else None

    def names(self) -> list[str]:
        """All published checkpoints, the furthest last."""
        if not self.folder.is_dir():
            return []
        return sorted((path.name for path in self.folder.iterdir() if _STEP.fullmatch(path.name)), key=_position)

    def newest(self) -> Path | None:
        """The furthest complete checkpoint, or None."""
        return next((self.folder / name for name in reversed(self.names()) if self.is_complete(name)), None)

    def is_complete(self, name: str) -> bool:
        """Whether a checkpoint is there and undamaged."""
        try:
            verify_folder(self.folder / name)
        except (ModelError, OSError):
            return False
        return True

    def later_than(self, name: str) -> list[str]:
        """Checkpoints that are further than this one."""
        return [other for other in self.names() if _position(other) > _position(name)]

    def rewind(self, name: str | None, best_step: int | None) -> None:
        """Bring the folder to the state of a checkpoint, whatever happened later or was interrupted.

        Removes later checkpoints and unfinished saves, and lets ``last`` point to ``name`` and ``best`` to that of
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
    """Order of checkpoints: by step, not by time stamp; the judged one is further than the unjudged one, and the whole
    one than that in parts."""
    match = _STEP.fullmatch(name)
    assert match is not None
    return int(match[1]), match[2] is None, match[3] is None


def model_folder(path: Path) -> Path:
    """The model that a user means: a model folder itself, or the best checkpoint of a run folder."""
    if not path.is_dir():
        raise TrainError(f"{path}: no such folder. Give a run folder or a model folder")
    best = path / "checkpoints" / BEST
    if best.exists():
        return best
    if (path / "checkpoints").is_dir():
        raise TrainError(f"{path}: the run has no best checkpoint yet. Let it finish its first epoch")
    if (path / PARTS).is_file():
        raise TrainError(
            f"{path}: a checkpoint in parts is for continuing its run. Name the run, or its best checkpoint"
        )
    return path


def run_folder_of(model: Path) -> Path | None:
    """The run folder that a model folder is part of, if it is."""
    checkpoints = model.resolve().parent
    run = checkpoints.parent
    return run if checkpoints.name == "checkpoints" and (run / "config.toml").is_file() else None
