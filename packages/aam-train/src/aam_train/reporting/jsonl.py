"""``metrics.jsonl``: one JSON record per line, the source of every plot."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aam_data.errors import DataError, first_few
from aam_data.writers.atomic import atomic_write
from aam_data.writers.plain_files import open_plain
from aam_models.errors import ModelError
from aam_models.storage.typed_json import read_record
from aam_train.errors import TrainError
from aam_train.files import json_line, read_json_lines
from aam_train.reporting.records import EpochRecord, Plots, StepRecord


@dataclasses.dataclass(frozen=True)
class _Step:
    """What plots and `aam show` read of a step."""

    step: int


@dataclasses.dataclass(frozen=True)
class _Epoch:
    """What plots and `aam show` read of an epoch."""

    step: int
    epoch: int
    epochs: int
    train: dict[str, float]
    validation: dict[str, float]
    best: bool

    def __post_init__(self) -> None:
        if "total" not in self.train:
            raise ModelError("the total loss is missing")


_KINDS: dict[str, type] = {"step": _Step, "epoch": _Epoch}


class JsonlReporter:
    """Reporter that appends records to a file; when a run is resumed, it first drops the lines of later steps.

    Args:
        path: path of ``metrics.jsonl``.
        first_step: step that the run is resumed from.
        first_epoch: last epoch that was validated before it.

    Attributes:
        damaged: a warning that names lines of an earlier start that were damaged and are left out; empty if none were.
    """

    def __init__(self, path: Path, first_step: int = 0, first_epoch: int = 0) -> None:
        self.path, self.damaged = path, ""
        if path.exists():
            records = [_checked(record) for record in read_json_lines(path)]
            last = {"step": first_step, "epoch": first_epoch}
            kept = [record for record in records if record and record[record["kind"]] <= last[record["kind"]]]
            with atomic_write(path) as temporary:
                temporary.write_text("".join(json_line(record) for record in kept), encoding="utf-8")
            if None in records:
                self.damaged = f"warning: {path}: {damaged_lines(records)}, left out"
        descriptor = open_plain(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.file = os.fdopen(descriptor, "ab", buffering=0)  # unbuffered: each line is written whole and immediately

    def note(self, text: str) -> None:
        """Ignore notes, which are for people."""

    def step(self, record: StepRecord) -> None:
        self._write({"kind": "step", **dataclasses.asdict(record)})

    def epoch(self, record: EpochRecord) -> None:
        self._write({"kind": "epoch", **dataclasses.asdict(record)})

    def plots(self, plots: Plots, step: int) -> None:
        """Ignore plots."""

    def close(self) -> None:
        self.file.close()

    def _write(self, record: dict[str, Any]) -> None:
        """Write a whole line or none; stop the run if it cannot be written."""
        line, end = json_line(record).encode(), self.file.seek(0, os.SEEK_END)
        try:
            if self.file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self.file.truncate(end)
            raise TrainError(
                f"{self.path}: cannot be written ({error.strerror}). Free some disk space, then resume with "
                "--resume-from auto"
            ) from error


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read all records, without an unfinished last line (of a killed run).

    Args:
        path: ``metrics.jsonl`` of a run folder.

    Returns:
        One dictionary per line.

    Raises:
        DataError: a line is damaged.

    Example:
        >>> losses = [r["loss"]["total"] for r in read_records(Path("runs/age/metrics.jsonl")) if r["kind"] == "step"]
    """
    records = [_checked(record) for record in read_json_lines(path)]
    if None in records:
        remedy = "Delete what is damaged; resuming the run leaves it out too"
        raise DataError(damaged_lines(records), code="file-damaged", file=path, remedy=remedy)
    return [record for record in records if record is not None]


def damaged_lines(records: Sequence[object]) -> str:
    """Return "line 3 is damaged": which of the records, one for each line, are None."""
    numbers = [number for number, record in enumerate(records, 1) if record is None]
    return f"line {numbers[0]:,} is damaged" if len(numbers) == 1 else f"lines {first_few(numbers)} are damaged"


def _checked(record: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the record; None for one without the keys that plots and `aam show` read."""
    if record is None or str(record.get("kind")) not in _KINDS:
        return None
    kind = _KINDS[str(record["kind"])]
    names = [field.name for field in dataclasses.fields(kind) if field.name in record]
    try:
        read_record(kind, {name: record[name] for name in names}, "", undefined=True)
    except ModelError:
        return None
    return record
