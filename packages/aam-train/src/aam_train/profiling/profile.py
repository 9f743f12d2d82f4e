"""`--profile`: a few steps under torch.profiler, written as a trace and as a table of operations by time."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]

from aam_data.writers.atomic import atomic_write
from aam_train.errors import RunStopped
from aam_train.files import write_table
from aam_train.profiling.ranges import PHASES, recording
from aam_train.reporting.records import Reporter

FOLDER, TRACE, TABLE = "profile", "trace.json.gz", "operations.tsv"
WARM_UP, STEPS = 3, 5
N_LOGGED = 10  # most expensive operations, in the log


@dataclass(frozen=True)
class Operation:
    """Total over all calls of an operation.

    Attributes:
        kind: a name in `KINDS`, or `OTHER`.
        cpu_ms, device_ms: self time, without nested operations: on the host, and of the kernels that it launched on the
            device.
    """

    kind: str
    name: str
    calls: int
    cpu_ms: float
    device_ms: float


class Profile:
    """Context around the steps of a run that records a few of them, on rank 0 only.

    Skips the first `WARM_UP` steps and records the next `STEPS`, all within one epoch, so that validation and
    checkpoints are not included. A shorter run records at least one step.

    Args:
        folder: of the run.
        device: of the model.
        reporter: receives the table.
        first: step (from 0) at which the run starts.
        per_epoch, total: number of steps.
    """

    def __init__(
        self, folder: Path, device: torch.device, reporter: Reporter, *, first: int, per_epoch: int, total: int
    ) -> None:
        self.folder, self.device, self.reporter = folder / FOLDER, device, reporter
        self.start, self.stop = window(first, per_epoch, total)
        self._recorder: Any = None
        self._ranges = contextlib.ExitStack()
        self._started = 0.0
        self._steps = 0

    def __enter__(self) -> Self:
        return self

    def before(self, step: int) -> None:
        """Start recording if this step (from 0) is the first to record; call it before its data are loaded."""
        if self._recorder is None and step == self.start and step < self.stop:
            os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # its messages on standard error are of no use to users
            activities = [torch.profiler.ProfilerActivity.CPU]
            if self.device.type == "cuda":
                activities.append(torch.profiler.ProfilerActivity.CUDA)  # also for ROCm
            self._recorder = torch.profiler.profile(activities=activities)
            self._ranges.enter_context(recording())
            self._recorder.start()
            self._started = time.perf_counter()

    def after(self, step: int) -> None:
        """Count a finished step, and write the profile after the last one."""
        if self._recorder is not None:
            self._steps += 1
            if step + 1 >= self.stop:
                self._write()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Write the recorded steps if the run was stopped early; discard them after an error."""
        if self._recorder is None:
            return
        if self._steps and (error is None or isinstance(error, RunStopped)):
            self._write()
        else:
            self._finish()

    def _finish(self) -> Any:
        recorder, self._recorder = self._recorder, None
        self.start = self.stop  # record only once per run
        self._ranges.close()
        recorder.stop()
        return recorder

    def _write(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        milliseconds = 1000 * (time.perf_counter() - self._started)
        recorder = self._finish()
        events = recorder.key_averages()
        recorded, phases = operations(events), phase_times(events)
        self.folder.mkdir(exist_ok=True)
        with atomic_write(self.folder / TRACE) as temporary:
            recorder.export_chrome_trace(str(temporary))  # compressed because of the file name
        on_device = self.device.type == "cuda"
        total = sum(_self_ms(operation, on_device) for operation in recorded) or 1.0
        header = ["kind", "operation", "calls", "own_cpu_ms", "own_device_ms", "share"]
        rows = (
            [
                o.kind,
                o.name,
                str(o.calls),
                f"{o.cpu_ms:.3f}",
                f"{o.device_ms:.3f}",
                f"{_self_ms(o, on_device) / total:.4f}",
            ]
            for o in sorted(recorded, key=lambda o: -_self_ms(o, on_device))
        )
        write_table(self.folder / TABLE, header, rows)
        for line in lines(recorded, phases, milliseconds, self._steps, on_device=on_device):
            self.reporter.note(line)
        self.reporter.note(f"wrote {self.folder / TRACE} (open it at ui.perfetto.dev) and {self.folder / TABLE}")


def window(first: int, per_epoch: int, total: int) -> tuple[int, int]:
    """Return the first and last step (exclusive) to record: in the current epoch, or the next if it has more left."""

    def window_from(start: int) -> tuple[int, int]:
        left = min(per_epoch - start % per_epoch, total - start)
        warm_up = max(0, min(WARM_UP, left - 1))
        return start + warm_up, start + min(left, warm_up + STEPS)

    now, later = window_from(first), first - first % per_epoch + per_epoch
    if later >= total:
        return now
    then = window_from(later)
    return then if then[1] - then[0] > now[1] - now[0] else now


def operations(events: Sequence[Any]) -> list[Operation]:
    """Convert `key_averages` to operations of the host; kernels count for the operation that launched them."""
    on_host = DeviceType.CPU
    return [
        Operation(
            kind_of(event.key),
            event.key,
            event.count,
            event.self_cpu_time_total / 1000,
            event.self_device_time_total / 1000,
        )
        for event in events
        if event.device_type == on_host and event.key not in PHASES
    ]


def phase_times(events: Sequence[Any]) -> dict[str, float]:
    """Return the host's milliseconds within each phase."""
    on_host = DeviceType.CPU
    times = {event.key: event.cpu_time_total / 1000 for event in events if event.device_type == on_host}
    return {name: times.get(name, 0.0) for name in PHASES}


def lines(
    recorded: Sequence[Operation], phases: dict[str, float], milliseconds: float, steps: int, *, on_device: bool
) -> list[str]:
    """Format the log lines: phases, kinds of operations, and the most expensive operations."""
    total = sum(_self_ms(operation, on_device) for operation in recorded) or 1.0
    kinds: dict[str, float] = {}
    for operation in recorded:
        kinds[operation.kind] = kinds.get(operation.kind, 0.0) + _self_ms(operation, on_device)
    by_time = sorted(kinds.items(), key=lambda item: -item[1])
    where = "device" if on_device else "CPU"
    return [
        f"profile of {steps} step{'s' if steps > 1 else ''}, {milliseconds / steps:,.1f} ms each: "
        + ", ".join(f"{name} {value / milliseconds:.0%}" for name, value in phases.items()),
        f"time of operations ({where}): "
        + ", ".join(f"{name} {value / total:.0%}" for name, value in by_time if value >= 0.005 * total),
        f"{'operation':<52}{'calls':>8}{'CPU ms':>12}{'device ms':>12}{'share':>7}",
        *(
            f"{o.name[:50]:<52}{o.calls:>8,}{o.cpu_ms:>12,.1f}{o.device_ms:>12,.1f}"
            f"{_self_ms(o, on_device) / total:>7.1%}"
            for o in sorted(recorded, key=lambda o: -_self_ms(o, on_device))[:N_LOGGED]
        ),
    ]


def _self_ms(operation: Operation, on_device: bool) -> float:
    return operation.device_ms if on_device else operation.cpu_ms


OTHER = "other"


# The first pattern that matches counts, so specific kinds precede general ones.
KINDS = (
    ("waiting for data", r"DataLoader"),
    ("communication", r"c10d|FSDP|nccl|gloo|all_?reduce|all_?gather|reduce_scatter|broadcast_"),
    ("attention", r"attention|softmax|flash"),
    ("optimizer", r"adam|sgd|Optimizer"),
    ("normalisation", r"layer_?norm"),
    ("matrix products", r"aten::(mm|bmm|addmm|baddbmm|matmul|linear|einsum|_scaled_mm)$|gemm"),
    ("activation", r"gelu|sigmoid|tanh|relu|softplus"),
    ("compiled", r"CompiledFunction|Torch-Compiled|triton|cpp_fused|inductor"),
    ("copies", r"aten::(copy_|_to_copy|to|clone|contiguous|cat|stack)$|[Mm]emcpy|Memset|pin_memory"),
    ("embedding and indexing", r"embedding|index|gather|scatter|where|masked|slice|select"),
    ("sums and elementwise", r"aten::(add|mul|div|sub|sum|mean|pow|exp|log|sqrt|neg|rsub|norm|fill|zero|clamp|square|"
                             r"_foreach|linalg|stack|isfinite|abs|eq|ne|lt|gt|bitwise)"),
    ("waiting for the device", r"cuda(Device|Stream|Event)Synchronize|hip(Device|Stream|Event)Synchronize|"
                               r"_local_scalar_dense|aten::item"),
)  # fmt: skip


_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in KINDS)


def kind_of(name: str) -> str:
    """Return the kind of an operation: a name in `KINDS`, or `OTHER`."""
    return next((kind for kind, pattern in _PATTERNS if pattern.search(name)), OTHER)
