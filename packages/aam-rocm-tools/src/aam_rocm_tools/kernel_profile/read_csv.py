"""CSV files of AMD's profilers, read by the names in their headers.

Columns differ between generations in number, order and case, so only the needed ones are looked up:

- rocprof, ``results.csv``: one dispatch per row: KernelName, BeginNs, EndNs, DurationNs (absent before ROCm 5.2).
- rocprof, ``results.stats.csv``: one kernel per row: Name, Calls, TotalDurationNs.
- rocprofv3, ``*_kernel_trace.csv``: one dispatch per row: Kernel_Name, Start_Timestamp, End_Timestamp, after four
  other columns in ROCm 6.2, six in 6.3 and seven in 7; the same from ``rocpd convert``, in other case.
- rocprofv3, ``*_kernel_stats.csv``: like rocprof's; durations have fractions in some versions.

Columns: AMD's documentation of rocprof and rocprofv3 ("Using rocprofv3", output of --kernel-trace and --stats).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aam_rocm_tools.kernel_profile.kernels import Kernel

_OLD, _NEW = "rocprof", "rocprofv3"


class ProfileFileError(ValueError):
    """Not a readable profile; the message names the file, the place and the problem."""


@dataclass(frozen=True)
class Layout:
    """Names of the needed columns in a kind of file, in lower case.

    Attributes:
        tool: the profiler that writes it.
        name: the column of kernel names.
        time: the column of nanoseconds, or those of start and end.
        is_trace: whether a row is one dispatch; else it is all calls of a kernel.
    """

    tool: str
    name: str
    time: tuple[str, ...]
    is_trace: bool


_LAYOUTS = (
    Layout(_NEW, "kernel_name", ("start_timestamp", "end_timestamp"), is_trace=True),
    Layout(_OLD, "kernelname", ("beginns", "endns"), is_trace=True),
    Layout(_OLD, "kernelname", ("durationns",), is_trace=True),
    Layout(_NEW, "name", ("totaldurationns",), is_trace=False),
)


@dataclass(frozen=True)
class CsvProfile:
    """Content of one file.

    Attributes:
        tool: the profiler that wrote it.
        is_trace: as in `Layout`; a trace has more information than the sums of the same run.
        kernels: one entry per row, not merged.
        span_ns: first start and last end in traces with timestamps, else None.
    """

    tool: str
    is_trace: bool
    kernels: list[Kernel]
    span_ns: tuple[float, float] | None


def read_csv(path: Path) -> CsvProfile:
    """Read one file of any generation; a file with only a header has no kernels.

    Raises:
        ProfileFileError: not such a file, or a cell is not a number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(path, csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProfileFileError(f"{path}: not a CSV file ({error})") from error


def is_kernel_file(path: Path) -> bool:
    """Return whether the header is a known one; profilers also write files about agents and copies."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _layout(_columns(next(csv.reader(file), []))) is not None and "_copy_" not in path.name
    except (UnicodeDecodeError, csv.Error):
        return False


def _read(path: Path, rows: Iterator[list[str]]) -> CsvProfile:
    columns = _columns(next(rows, []))
    layout = _layout(columns)
    if layout is None:
        raise ProfileFileError(
            f"{path}: the header has neither Kernel_Name, KernelName nor Name with times, so it is not about kernels. "
            "Run rocprofv3 with --kernel-trace --output-format csv"
        )
    kernels, starts, ends = [], [], []
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) < len(columns):
            raise ProfileFileError(f"{path}, line {number}: {len(row)} cells, the header has {len(columns)}")
        times = [_number(path, number, name, row[columns[name]]) for name in layout.time]
        calls = 1 if layout.is_trace else int(_number(path, number, "calls", row[columns["calls"]]))
        duration = times[-1] - (times[0] if len(times) == 2 else 0)
        if calls < 1 or duration < 0:
            raise ProfileFileError(f"{path}, line {number}: {calls:,} calls of {duration:g} ns cannot be")
        kernels.append(Kernel(clean_name(row[columns[layout.name]]), calls, duration))
        if len(times) == 2:
            starts.append(times[0])
            ends.append(times[1])
    tool = layout.tool if layout.is_trace else (_NEW if "stddev" in columns or "minns" in columns else _OLD)
    return CsvProfile(tool, layout.is_trace, kernels, (min(starts), max(ends)) if starts else None)


def clean_name(name: str) -> str:
    """Remove the suffixes that tools append to a kernel's name: ``.kd``, ``[clone .kd]``."""
    return name.strip().removesuffix("[clone .kd]").rstrip().removesuffix(".kd")


def _columns(header: list[str]) -> dict[str, int]:
    return {name.strip().lower(): index for index, name in enumerate(header)}


def _layout(columns: dict[str, int]) -> Layout | None:
    for layout in _LAYOUTS:
        needed = {layout.name, *layout.time, *(() if layout.is_trace else ("calls",))}
        if needed <= columns.keys():
            return layout
    return None


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ProfileFileError(f"{path}, line {line}, column {column}: {cell[:40]!r} is not a number")
    return value
