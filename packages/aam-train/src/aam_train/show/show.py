"""`aam show`: description of any folder or file of AAM or of a study. Only models need torch."""

from __future__ import annotations

from pathlib import Path

from aam_data.readers.source import is_cache_entry
from aam_train.errors import TrainError


def describe(path: Path) -> list[tuple[str, str]]:
    """Return names and values that describe a folder or file, in display order.

    Raises:
        DataError, ModelError, TrainError: not a file or folder that AAM knows, or a damaged one.
    """
    if not path.exists():
        raise TrainError(f"{path}: no such file or folder")
    if path.is_dir() and not is_cache_entry(path):
        from aam_data.corpus.check import describe_corpus
        from aam_data.corpus.manifest import is_corpus
        from aam_train.runs.ensemble import is_ensemble
        from aam_train.show.model import describe_ensemble, describe_model
        from aam_train.show.run import describe_run

        if is_corpus(path):
            return describe_corpus(path)
        is_run = (path / "config.toml").is_file() or (path / "checkpoints").is_dir()
        if is_run:
            return describe_run(path)
        return describe_ensemble(path) if is_ensemble(path) else describe_model(path)
    from aam_train.show.data_file import describe_file

    return describe_file(path)
