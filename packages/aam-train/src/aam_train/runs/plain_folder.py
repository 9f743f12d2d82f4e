"""A run's folder has plain files and folders only, and ``best`` and ``last``: a link would lead AAM to other files."""

from __future__ import annotations

import os
from pathlib import Path

from aam_train.errors import TrainError
from aam_train.runs.checkpoints import is_pointer

_FILES = {".json", ".jsonl", ".lock", ".md", ".png", ".safetensors", ".toml", ".tsv"}  # endings of no folder of a run

_FOLDERS = {"checkpoints", "report", "tensorboard"}


def check_plain(run: Path) -> None:
    """Raise TrainError for an entry of a run's folder that is neither a plain file nor a folder, or not the right one.

    ``best`` and ``last`` may be links, which are replaced and never written through; so may the run's folder itself.
    """
    folders = [run]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir(follow_symlinks=False):
                    if Path(entry.name).suffix in _FILES and folder.parent.name != "checkpoints":
                        raise TrainError(f"{entry.path}: a folder, and a run would write a file there. Move it away")
                    folders.append(Path(entry.path))
                elif folder == run and entry.name in _FOLDERS and entry.is_file(follow_symlinks=False):
                    raise TrainError(f"{entry.path}: a file, and a run would write a folder there. Move it away")
                elif entry.is_symlink() and not (folder.name == "checkpoints" and is_pointer(entry.name)):
                    raise TrainError(
                        f"{entry.path}: a link to {Path(entry.path).readlink()}, and a run would write there. Put the "
                        "file or folder itself in its place, or remove the link"
                    )
                elif not entry.is_symlink() and not entry.is_file(follow_symlinks=False):
                    raise TrainError(f"{entry.path}: neither a file nor a folder. Remove it")
