"""Checkpoints of a run: immutable ``step-N`` folders, and ``best`` and ``last`` that point to them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from aam_models.errors import ModelError
from aam_models.folders import new_folder, verify_folder, write_pointer
from aam_train.errors import TrainError

BEST, LAST = "best", "last"
_STEP = re.compile(r"step-(\d+)")
_LEFTOVER = re.compile(r"\.(step-\d+|best|last)\..*tmp")


class Checkpoints:
    """The ``checkpoints`` folder of a run; only what ``best`` and ``last`` point to is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, step: int, write: Callable[[Path], None]) -> Path:
        """Publish ``step-N``, filled by ``write``; one that is there already is left as it is."""
        path = self.path(step)
        if not path.exists():
            with new_folder(path) as temporary:
                write(temporary)
        return path

    def point(self, name: str, step: int) -> None:
        """Let ``best`` or ``last`` point to ``step-N``, and remove what nothing points to any more."""
        write_pointer(self.folder / name, self.path(step))
        kept = {self.step_of(pointer) for pointer in (BEST, LAST)}
        for old in self.steps():
            if old not in kept:
                shutil.rmtree(self.path(old))

    def step_of(self, pointer: str) -> int | None:
        """The step that ``best`` or ``last`` points to."""
        link = self.folder / pointer
        match = _STEP.fullmatch(link.readlink().name) if link.is_symlink() else None
        return int(match[1]) if match else None

    def steps(self) -> list[int]:
        """Steps of all published checkpoints, ascending."""
        if not self.folder.is_dir():
            return []
        matches = (_STEP.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def path(self, step: int) -> Path:
        """Where ``step-N`` is, or would be."""
        return self.folder / f"step-{step}"

    def newest(self) -> Path | None:
        """The complete checkpoint of the highest step, or None."""
        return next((self.path(step) for step in reversed(self.steps()) if self.is_complete(step)), None)

    def is_complete(self, step: int) -> bool:
        """Whether ``step-N`` is there and undamaged."""
        try:
            verify_folder(self.path(step))
        except ModelError:
            return False
        return True

    def rewind(self, step: int, best_step: int | None) -> None:
        """Bring the folder to the state of ``step``, whatever happened later or was interrupted.

        Removes checkpoints of later steps and unfinished saves, and lets ``last`` and ``best`` point to ``step`` and
        ``best_step``. With step 0 nothing is left.
        """
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if path.name in (BEST, LAST) or _LEFTOVER.fullmatch(path.name):
                path.unlink() if path.is_symlink() else shutil.rmtree(path)
        for later in self.steps():
            if later > step:
                shutil.rmtree(self.path(later))
        if best_step is not None:
            write_pointer(self.folder / BEST, self.path(best_step))
        if step:
            self.point(LAST, step)


def model_folder(path: Path) -> Path:
    """The model that a user means: a model folder itself, or the best checkpoint of a run folder."""
    if not path.is_dir():
        raise TrainError(f"{path}: no such folder. Give a run folder or a model folder")
    best = path / "checkpoints" / BEST
    if best.exists():
        return best
    if (path / "checkpoints").is_dir():
        raise TrainError(f"{path}: the run has no best checkpoint yet. Let it finish its first epoch")
    return path


def run_folder_of(model: Path) -> Path | None:
    """The run folder that a model folder is part of, if it is."""
    checkpoints = model.resolve().parent
    run = checkpoints.parent
    return run if checkpoints.name == "checkpoints" and (run / "config.toml").is_file() else None
