"""One program at a time in a run's folder: a lock that names its holder, and the list of all starts.

The lock is that of the operating system (flock), which a killed process loses. Some network file systems have none, or
none between hosts; so the file also says who holds it, and what it says is believed where the system cannot know.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aam_train.errors import TrainError
from aam_train.files import json_line

LOCK, STARTS = "run.lock", "starts.jsonl"
_JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        birth: when the process began, in ticks since the host did; None where that is not known. A process with this
            number that began at another time is another process.
        job: of the scheduler, which keeps its number when it is requeued.
        since: local time of the start.
    """

    host: str
    pid: int
    birth: int | None
    job: str | None
    since: str

    @classmethod
    def me(cls) -> Holder:
        """This process."""
        job = next((os.environ[name] for name in _JOB_VARIABLES if name in os.environ), None)
        return cls(socket.gethostname(), os.getpid(), _birth(os.getpid()), job, time.strftime("%Y-%m-%d %H:%M:%S"))

    def words(self) -> str:
        """For messages."""
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}, since {self.since}"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Holder | None]:
    """Hold the lock of a run's folder; gives who left one behind, if anybody did.

    Raises:
        TrainError: somebody else holds it.
    """
    path, me = folder / LOCK, Holder.me()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        certain = _lock(descriptor, path)
        before = _read(path)
        if before is not None and not _is_gone(before, me, certain=certain):
            raise _held(folder, before, path)
        _write(descriptor, json.dumps(asdict(me)))
        try:
            yield before
        finally:
            _write(descriptor, "")
    finally:
        os.close(descriptor)  # gives the lock of the system back


def record_start(folder: Path, from_step: int, versions: dict[str, str]) -> list[dict[str, Any]]:
    """Append this start to ``starts.jsonl``; gives all starts, this one last."""
    path = folder / STARTS
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    start = {"start": len(lines) + 1, **asdict(Holder.me()), "from_step": from_step, "versions": versions}
    with path.open("a", encoding="utf-8") as file:
        file.write(json_line(start))
    return [json.loads(line) for line in lines] + [start]


def _lock(descriptor: int, path: Path) -> bool:
    """Take the system's lock; False where it has none. Raises TrainError when somebody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _held(path.parent, _read(path), path) from error
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def _is_gone(before: Holder, me: Holder, *, certain: bool) -> bool:
    """Whether a holder that did not give its lock back has ended."""
    if before.host != me.host:
        return before.job is not None and before.job == me.job  # the same job, requeued on another host
    return certain or before.birth is None or _birth(before.pid) != before.birth


def _birth(pid: int) -> int | None:
    """When a process began; None when there is no such process, or no way to know."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def _read(path: Path) -> Holder | None:
    """Who the file says holds it; None when nobody does, or when it was cut while being written."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError):
        return None


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
    os.fsync(descriptor)


def _held(folder: Path, holder: Holder | None, path: Path) -> TrainError:
    who = holder.words() if holder is not None else "another process"
    return TrainError(
        f"{folder}: {who} is writing to this run. Wait for it, or name another --output-dir "
        f"(if that process is gone, remove {path})"
    )
