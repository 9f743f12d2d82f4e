"""Lock of a run's folder, which names its holder, and the list of all starts.

The lock is one of the operating system (flock), which a killed process loses. Some network file systems have no locks,
or none between hosts; so the file also names the holder, and its content decides where the system cannot know.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aam_data.file_lock import lock_exclusively
from aam_data.writers.plain_files import errors_name, open_plain
from aam_models.storage.strict_json import parse_strict_json
from aam_models.storage.typed_json import read_record
from aam_train.errors import TrainError
from aam_train.files import json_line, read_json_lines
from aam_train.reporting.jsonl import damaged_lines

LOCK, STARTS = "run.lock", "starts.jsonl"
MAX_HOLDER = 10_000  # bytes
_JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")


@dataclass(frozen=True)
class Holder:
    """Process that holds a lock.

    Attributes:
        birth: start time of the process, in ticks since the host started; None if unknown. A process with the same
            pid that started at another time is another process.
        job: job id of the scheduler, which stays the same when the job is requeued.
        since: local time of the start.
    """

    host: str
    pid: int
    birth: int | None
    job: str | None
    since: str

    @classmethod
    def me(cls) -> Holder:
        """Return the holder that describes this process."""
        job = next((os.environ[name] for name in _JOB_VARIABLES if name in os.environ), None)
        return cls(socket.gethostname(), os.getpid(), _birth(os.getpid()), job, time.strftime("%Y-%m-%d %H:%M:%S"))

    def describe(self) -> str:
        """Return a description for messages."""
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}, started {self.since}"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Holder | None]:
    """Hold the lock of a run's folder; yield the holder that left a lock behind, if any.

    Raises:
        TrainError: another process holds the lock.
    """
    path, me = folder / LOCK, Holder.me()
    descriptor = open_plain(path, os.O_RDWR | os.O_CREAT)
    try:
        certain = _lock(descriptor, path)
        previous = _read(descriptor)
        if previous is not None and not _is_gone(previous, me, certain=certain):
            raise _lock_error(folder, previous, path)
        with errors_name(path):
            _write(descriptor, json.dumps(asdict(me)))
        try:
            yield previous
        finally:
            with errors_name(path):
                _write(descriptor, "")
    finally:
        os.close(descriptor)  # releases the lock of the system


def record_start(
    folder: Path, from_step: int, versions: dict[str, str], note: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Append this start to ``starts.jsonl``; return all starts, this one last. Damaged lines are noted and left out."""
    path = folder / STARTS
    lines = [_checked(line) for line in read_json_lines(path)] if path.is_file() else []
    if None in lines:
        note(f"warning: {path}: {damaged_lines(lines)}, left out")
    earlier = [line for line in lines if line is not None]
    start = {"start": len(lines) + 1, **asdict(Holder.me()), "from_step": from_step, "versions": versions}
    with errors_name(path):
        descriptor = open_plain(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # by a program that was killed
            file.write(b"\n" * torn + json_line(start).encode())
    return [*earlier, start]


def _checked(start: dict[str, Any] | None) -> dict[str, Any] | None:
    return start if start is not None and isinstance(start.get("versions"), dict) else None


def _lock(descriptor: int, path: Path) -> bool:
    """Take the lock of the system; return False if it has no locks. Raise TrainError if another process has it."""
    try:
        return lock_exclusively(descriptor)
    except BlockingIOError as error:
        raise _lock_error(path.parent, _read(descriptor), path) from error


def _is_gone(previous: Holder, me: Holder, *, certain: bool) -> bool:
    """Return whether a holder that did not release its lock has exited."""
    if previous.host != me.host:
        return previous.job is not None and previous.job == me.job  # the same job, requeued on another host
    return certain or previous.birth is None or _birth(previous.pid) != previous.birth


def _birth(pid: int) -> int | None:
    """Return the start time of a process in ticks; None if there is no such process, or no way to know."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def _read(descriptor: int) -> Holder | None:
    """Return the holder that the file names; None if there is none, or the file is incomplete."""
    try:
        text = os.pread(descriptor, MAX_HOLDER, 0).decode("utf-8")
        return read_record(Holder, parse_strict_json(text, LOCK), LOCK)
    except ValueError:
        return None


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
    os.fsync(descriptor)


def _lock_error(folder: Path, holder: Holder | None, path: Path) -> TrainError:
    who = holder.describe() if holder is not None else "another process"
    return TrainError(
        f"{folder}: {who} is writing to this run. Wait for it, or use another --output-dir "
        f"(if that process no longer exists, remove {path})"
    )
