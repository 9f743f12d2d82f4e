"""`--data-parallel`: one command that starts a process for every GPU of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessException, start_processes

from aam_train.errors import RunStopped, TrainError
from aam_train.options.parallel import ParallelOptions
from aam_train.parallel import torch_compat as compat
from aam_train.parallel.environment import RankInfo
from aam_train.parallel.process_group import LostProcess
from aam_train.reporting.console import WARNING, ConsoleReporter
from aam_train.signals import EXIT_CODES, exit_code_of, restore_handlers, set_handlers

Run = Callable[[Any, bool, RankInfo], object]  # a module-level function: config, quiet, rank of the process
_SECONDS_TO_END = 20.0  # for the other processes after one has failed
_SECONDS_BETWEEN_CHECKS = 0.2


def number_of_processes(options: ParallelOptions, device: str, quiet: bool) -> int:
    """Return how many processes to start; with fewer than two GPUs, warn and return 1.

    Raises:
        TrainError: the options ask for more processes than there are GPUs, or contradict each other.
    """
    if not options.data_parallel:
        return 1
    gpus = torch.cuda.device_count() if torch.cuda.is_available() and device != "cpu" else 0
    if device.startswith("cuda:"):
        raise TrainError(f"--device {device} is one GPU, but --data-parallel uses all; omit one of them")
    if device == "cpu" and options.processes is None:
        raise TrainError("--data-parallel with --device cpu needs --processes, the number to start")
    if options.processes is not None and (device == "cpu" or options.processes <= gpus):
        return options.processes
    if options.processes is not None:
        raise TrainError(
            f"--processes {options.processes}: PyTorch sees {gpus} GPUs here. Lower it, or use --device cpu"
        )
    if gpus < 2:
        text = f"{WARNING}--data-parallel: PyTorch sees {gpus} GPUs here, so a single process runs"
        ConsoleReporter(quiet=quiet).note(text)
    return max(1, gpus)


def launch(run: Run, config: Any, *, quiet: bool, processes: int) -> None:
    """Run a function in several new processes and wait for them, forwarding signals to all of them.

    Raises:
        RunStopped: they stopped after a signal.
        TrainError: the first error of any of them.
    """
    with tempfile.TemporaryDirectory(prefix="aam-") as folder, _forward_signals() as forwarder:
        port = _free_port()
        context = start_processes(
            _child, (run, config, quiet, processes, port, folder), processes, join=False, start_method="spawn"
        )
        assert context is not None
        forwarder.pids = context.pids()
        failed: ProcessException | None = None
        done = False
        while not done and failed is None:
            try:
                done = compat.join(context, _SECONDS_BETWEEN_CHECKS, _SECONDS_TO_END)
            except ProcessException as error:
                failed = error
        forwarder.pids = []
        _raise_first(Path(folder), failed, forwarder.received, processes)


def _child(local_rank: int, run: Run, config: Any, quiet: bool, processes: int, port: int, folder: str) -> None:
    """Run a new process, and report to the parent how it ended: our own exceptions are passed on as JSON."""
    os.setpgid(0, 0)  # signals to the command's process group then arrive once, through the parent
    rank_info = RankInfo(local_rank, processes, local_rank, processes, "127.0.0.1", port)
    try:
        run(config, quiet, rank_info)
        _write_exit_report(folder, local_rank, {"done": True})
    except KeyboardInterrupt as interrupt:  # PyTorch would take it for a normal exit
        code = exit_code_of(interrupt)
        _write_exit_report(folder, local_rank, {"interrupted": "stopped at once; nothing more was saved", "code": code})
        os._exit(code)
    except RunStopped as stop:
        _write_exit_report(folder, local_rank, {"stopped": str(stop), "code": stop.exit_code})
    except (ValueError, OSError) as error:
        consequence = isinstance(error, LostProcess)
        _write_exit_report(folder, local_rank, {"error": str(error), "consequence": consequence})
        os._exit(2)  # the parent shows the message; a traceback would only clutter it


def _write_exit_report(folder: str, rank: int, report: dict[str, Any]) -> None:
    (Path(folder) / f"{rank}.json").write_text(json.dumps({**report, "time": time.time()}), encoding="utf-8")


def _raise_first(folder: Path, failed: ProcessException | None, signalled: str | None, processes: int) -> None:
    """Raise for how the processes ended; the first error that is not a consequence of another one counts."""
    reports = {int(file.stem): json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")}
    causes = [report for report in reports.values() if "error" in report and not report["consequence"]]
    if causes:
        raise TrainError(min(causes, key=lambda report: report["time"])["error"])
    for report in reports.values():
        if "interrupted" in report:
            raise RunStopped(report["interrupted"], report["code"])
    stopped = [report for report in reports.values() if "stopped" in report]
    if stopped and failed is None:
        raise RunStopped(stopped[0]["stopped"], stopped[0]["code"])
    if failed is not None and signalled is not None:
        raise RunStopped(f"{signalled}: nothing more was saved", EXIT_CODES[signalled])
    if failed is not None:
        rank = failed.error_index
        raise TrainError(
            f"process {rank} exited ({_describe(failed)}); its error message, if any, is above. Resume with "
            "--resume-from auto"
        ) from failed
    if silent := sorted(set(range(processes)) - set(reports)):
        raise TrainError(f"process {silent[0]} exited without an error message. Resume with --resume-from auto")


def _describe(failed: ProcessException) -> str:
    name = getattr(failed, "signal_name", None)
    if name:
        return f"{name}; probably the out-of-memory killer"
    lines = str(failed).strip().splitlines()
    return lines[-1] if lines else "without an error message"


class _SignalForwarder:
    """Signal handler of the parent that passes signals on to its children."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.received: str | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextlib.contextmanager
def _forward_signals() -> Iterator[_SignalForwarder]:
    """Forward signals to the children, which are in process groups of their own and only get them from the parent."""
    forwarder = _SignalForwarder()
    before = set_handlers(forwarder)
    try:
        yield forwarder
    finally:
        restore_handlers(before)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
