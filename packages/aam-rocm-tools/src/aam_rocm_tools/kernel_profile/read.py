"""Profiles from files and folders: those of ``aam-rocm profile``, and CSV files of rocprof and rocprofv3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aam_rocm_tools.kernel_profile.kernels import Kernel, Profile, merge_kernels
from aam_rocm_tools.kernel_profile.read_csv import ProfileFileError, is_kernel_file, read_csv
from aam_rocm_tools.records import read_record

FILE = "profile.json"
__all__ = ["FILE", "ProfileFileError", "read_json", "read_profile", "read_tool_output"]


def read_profile(paths: list[Path]) -> Profile:
    """Read one profile from all files; several processes write one file each.

    Args:
        paths: one folder, one profile.json, or CSV files of a profiler.

    Raises:
        ProfileFileError: a file is not a profile.
    """
    if len(paths) == 1 and paths[0].is_dir():
        record = paths[0] / FILE
        return read_json(record) if record.is_file() else read_tool_output(paths[0])
    if len(paths) == 1 and paths[0].suffix == ".json":
        return read_json(paths[0])
    return _from_csv(paths)


def read_tool_output(folder: Path) -> Profile:
    """Read the files of a profiler below a folder: traces if there are any (their sums repeat the same calls)."""
    files = sorted(path for path in folder.rglob("*.csv") if is_kernel_file(path))
    if not files:
        raise ProfileFileError(f"{folder}: has no CSV file with kernels")
    traces = [path for path in files if read_csv(path).is_trace]
    return _from_csv(traces or files)


def read_json(path: Path) -> Profile:
    """Read a profile.json."""
    return read_record(path, FILE, _from_content, ProfileFileError)


def _from_content(content: dict[str, Any]) -> Profile:
    wall = content["wall_ns"]
    return Profile(
        str(content["tool"]),
        merge_kernels(Kernel(str(k["name"]), int(k["calls"]), float(k["total_ns"])) for k in content["kernels"]),
        None if wall is None else float(wall),
        str(content["device"]),
        [str(word) for word in content["command"]],
    )


def _from_csv(paths: list[Path]) -> Profile:
    files = [read_csv(path) for path in paths]
    kinds = {file.is_trace for file in files}
    if len(kinds) > 1:
        raise ProfileFileError("traces and sums of the same run would count twice; pass files of one kind")
    # Timestamps count from the start of each machine, so the span is the longest of one file, not over all files.
    spans = [file.span_ns[1] - file.span_ns[0] for file in files if file.span_ns]
    kernels = merge_kernels(kernel for file in files for kernel in file.kernels)
    return Profile(files[0].tool, kernels, max(spans) if spans else None)
