"""``metrics.jsonl``: one JSON record per line, the source of every plot."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path
from typing import Any

from aam_data.checked_json import parse_json
from aam_train.errors import TrainError
from aam_train.files import json_line
from aam_train.reporting.records import EpochRecord, Plots, StepRecord


class JsonlReporter:
    """Reporter that appends records to a file; when a run is resumed, it first drops the lines of later steps.

    Args:
        path: path of ``metrics.jsonl``.
        first_step: step that the run is resumed from.
        first_epoch: last epoch that was validated before it.
    """

    def __init__(self, path: Path, first_step: int = 0, first_epoch: int = 0) -> None:
        if path.exists():
            last = {"step": first_step, "epoch": first_epoch}
            kept = [record for record in read_records(path) if record[record["kind"]] <= last[record["kind"]]]
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_text("".join(json_line(record) for record in kept), encoding="utf-8")
            temporary.replace(path)
        self.path = path
        self.file = path.open("ab", buffering=0)  # unbuffered: each line is written whole and immediately

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
        DataError: a line is not JSON.

    Example:
        >>> losses = [r["loss"]["total"] for r in read_records(Path("runs/age/metrics.jsonl")) if r["kind"] == "step"]
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    return [parse_json(line, file=path, place=f"line {number}") for number, line in enumerate(lines[:-1], 1)]
