"""A run's folder has plain files and folders only, and ``best`` and ``last``: a link would lead AAM to other files."""

from __future__ import annotations

import os
from pathlib import Path

from aam_train.errors import TrainError
from aam_train.runs.checkpoints import is_pointer


def check_plain(run: Path) -> None:
    """Raise TrainError for an entry of a run's folder that is neither a plain file nor a folder.

    ``best`` and ``last`` may be links, which are replaced and never written through; so may the run's folder itself.
    """
    folders = [run]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_symlink() and not (folder.name == "checkpoints" and is_pointer(entry.name)):
                    raise TrainError(
                        f"{entry.path}: a link to {Path(entry.path).readlink()}, and a run would write there. Put the "
                        "file or folder itself in its place, or remove the link"
                    )
                elif not entry.is_symlink() and not entry.is_file(follow_symlinks=False):
                    raise TrainError(f"{entry.path}: neither a file nor a folder. Remove it")
