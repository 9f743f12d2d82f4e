"""``metrics.jsonl``: one JSON record a line, the source of every plot."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path
from typing import Any

from aam_train.errors import TrainError
from aam_train.files import json_line
from aam_train.reporting.records import EpochRecord, StepRecord


class JsonlReporter:
    """Appends records; on resumption, lines of later steps are dropped first.

    Args:
        path: of ``metrics.jsonl``.
        first_step: the step that the run continues from.
        first_epoch: the last epoch that was judged before it.
    """

    def __init__(self, path: Path, first_step: int = 0, first_epoch: int = 0) -> None:
        if path.exists():
            last = {"step": first_step, "epoch": first_epoch}
            kept = [record for record in read_records(path) if record[record["kind"]] <= last[record["kind"]]]
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_text("".join(json_line(record) for record in kept), encoding="utf-8")
            temporary.replace(path)
        self.path, self.file = path, path.open("ab", buffering=0)  # a whole line at a time, at once

    def note(self, text: str) -> None:
        """Notes are for people; the run's record keeps them elsewhere."""

    def step(self, record: StepRecord) -> None:
        self._write({"kind": "step", **dataclasses.asdict(record)})

    def epoch(self, record: EpochRecord) -> None:
        self._write({"kind": "epoch", **dataclasses.asdict(record)})

    def close(self) -> None:
        self.file.close()

    def _write(self, record: dict[str, Any]) -> None:
        """A whole line or none: where the disk does not take it, the run stops."""
        line, end = json_line(record).encode(), self.file.seek(0, os.SEEK_END)
        try:
            if self.file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self.file.truncate(end)
            raise TrainError(
                f"{self.path}: cannot be written ({error.strerror}). Make room, then continue with --resume-from auto"
            ) from error


def read_records(path: Path) -> list[dict[str, Any]]:
    """All records; an unfinished last line (a killed run) is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]
