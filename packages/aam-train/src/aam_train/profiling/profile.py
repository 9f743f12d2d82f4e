"""`--profile`: a few steps under torch.profiler, as a trace to look at and a table of what took the time."""

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
N_LOGGED = 10  # operations in the log


@dataclass(frozen=True)
class Operation:
    """All calls of an operation.

    Attributes:
        kind: see `KINDS`.
        cpu_ms, device_ms: its own time, without the operations that it calls: on the host, and of the kernels that it
            launched on the device.
    """

    kind: str
    name: str
    calls: int
    cpu_ms: float
    device_ms: float


class Profile:
    """Context of the steps of a run, of which a few are recorded; the first process's alone.

    The first `WARM_UP` steps are left out and the next `STEPS` recorded, within one epoch: validation and checkpoints
    are no part. Where there are fewer, at least one is recorded.

    Args:
        folder: of the run.
        device: of the model.
        reporter: told the table.
        first: step (from 0) that the run begins with.
        per_epoch, total: steps.
    """

    def __init__(
        self, folder: Path, device: torch.device, reporter: Reporter, *, first: int, per_epoch: int, total: int
    ) -> None:
        self.folder, self.device, self.reporter = folder / FOLDER, device, reporter
        self.begin, self.end = window(first, per_epoch, total)
        self._recorder: Any = None
        self._labels = contextlib.ExitStack()
        self._started = 0.0
        self._steps = 0

    def __enter__(self) -> Self:
        return self

    def before(self, step: int) -> None:
        """The step with this number (from 0), its data included, comes next."""
        if self._recorder is None and step == self.begin and step < self.end:
            os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # its own lines on standard error say nothing to a user
            activities = [torch.profiler.ProfilerActivity.CPU]
            if self.device.type == "cuda":
                activities.append(torch.profiler.ProfilerActivity.CUDA)  # ROCm's are CUDA to PyTorch
            self._recorder = torch.profiler.profile(activities=activities)
            self._labels.enter_context(recording())
            self._recorder.start()
            self._started = time.perf_counter()

    def after(self, step: int) -> None:
        """The step with this number is done."""
        if self._recorder is not None:
            self._steps += 1
            if step + 1 >= self.end:
                self._write()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """An early end leaves what was recorded of whole steps; an error leaves nothing."""
        if self._recorder is None:
            return
        if self._steps and (error is None or isinstance(error, RunStopped)):
            self._write()
        else:
            self._stop()

    def _stop(self) -> Any:
        recorder, self._recorder = self._recorder, None
        self.begin = self.end  # once a run
        self._labels.close()
        recorder.stop()
        return recorder

    def _write(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        milliseconds = 1000 * (time.perf_counter() - self._started)
        recorder = self._stop()
        events = recorder.key_averages()
        found, phases = operations(events), phase_times(events)
        self.folder.mkdir(exist_ok=True)
        with atomic_write(self.folder / TRACE) as temporary:
            recorder.export_chrome_trace(str(temporary))  # compressed, since the name says so
        on_device = self.device.type == "cuda"
        total = sum(_own(operation, on_device) for operation in found) or 1.0
        header = ["kind", "operation", "calls", "own_cpu_ms", "own_device_ms", "share"]
        rows = (
            [o.kind, o.name, str(o.calls), f"{o.cpu_ms:.3f}", f"{o.device_ms:.3f}", f"{_own(o, on_device) / total:.4f}"]
            for o in sorted(found, key=lambda o: -_own(o, on_device))
        )
        write_table(self.folder / TABLE, header, rows)
        for line in lines(found, phases, milliseconds, self._steps, on_device=on_device):
            self.reporter.note(line)
        self.reporter.note(f"wrote {self.folder / TRACE} (open it at ui.perfetto.dev) and {self.folder / TABLE}")


def window(first: int, per_epoch: int, total: int) -> tuple[int, int]:
    """First and last step (exclusive) to record: of the running epoch, or of the next if that one has more left."""

    def of(begin: int) -> tuple[int, int]:
        left = min(per_epoch - begin % per_epoch, total - begin)
        warm_up = max(0, min(WARM_UP, left - 1))
        return begin + warm_up, begin + min(left, warm_up + STEPS)

    now, later = of(first), first - first % per_epoch + per_epoch
    if later >= total:
        return now
    then = of(later)
    return then if then[1] - then[0] > now[1] - now[0] else now


def operations(events: Sequence[Any]) -> list[Operation]:
    """Of `key_averages`: what the host called; kernels are counted where they were launched."""
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
    """Milliseconds of the host within each phase."""
    on_host = DeviceType.CPU
    found = {event.key: event.cpu_time_total / 1000 for event in events if event.device_type == on_host}
    return {name: found.get(name, 0.0) for name in PHASES}


def lines(
    found: Sequence[Operation], phases: dict[str, float], milliseconds: float, steps: int, *, on_device: bool
) -> list[str]:
    """What a user sees: phases, kinds of operations, the operations that took most."""
    total = sum(_own(operation, on_device) for operation in found) or 1.0
    kinds: dict[str, float] = {}
    for operation in found:
        kinds[operation.kind] = kinds.get(operation.kind, 0.0) + _own(operation, on_device)
    by_time = sorted(kinds.items(), key=lambda item: -item[1])
    where = "device" if on_device else "CPU"
    return [
        f"profile of {steps} step{'s' if steps > 1 else ''}, {milliseconds / steps:,.1f} ms each: "
        + ", ".join(f"{name} {value / milliseconds:.0%}" for name, value in phases.items()),
        f"time of operations ({where}): "
        + ", ".join(f"{name} {value / total:.0%}" for name, value in by_time if value >= 0.005 * total),
        f"{'operation':<52}{'calls':>8}{'CPU ms':>12}{'device ms':>12}{'share':>7}",
        *(
            f"{o.name[:50]:<52}{o.calls:>8,}{o.cpu_ms:>12,.1f}{o.device_ms:>12,.1f}{_own(o, on_device) / total:>7.1%}"
            for o in sorted(found, key=lambda o: -_own(o, on_device))[:N_LOGGED]
        ),
    ]


def _own(operation: Operation, on_device: bool) -> float:
    return operation.device_ms if on_device else operation.cpu_ms


OTHER = "other"


# The first that fits counts, so the particular come before the general.
_KINDS = (
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


KINDS = (*(name for name, _ in _KINDS), OTHER)


_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _KINDS)


def kind_of(name: str) -> str:
    """Which of `KINDS` an operation is."""
    return next((kind for kind, pattern in _PATTERNS if pattern.search(name)), OTHER)
