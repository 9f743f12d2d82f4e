"""Profiles from files and folders: those of ``aam-rocm profile``, and CSV files of rocprof and rocprofv3."""

from __future__ import annotations

import json
from pathlib import Path

from aam_rocm_tools.kernel_profile.kernels import Kernel, Profile, merged
from aam_rocm_tools.kernel_profile.read_csv import ProfileFileError, is_kernel_file, read_csv

FILE = "profile.json"
__all__ = ["FILE", "ProfileFileError", "read_json", "read_profile", "read_tool_output"]


def read_profile(paths: list[Path]) -> Profile:
    """One profile of all the files: several processes write a file each.

    Raises:
        ProfileFileError: not a profile.
    """
    if len(paths) == 1 and paths[0].is_dir():
        kept = paths[0] / FILE
        return read_json(kept) if kept.is_file() else read_tool_output(paths[0])
    if len(paths) == 1 and paths[0].suffix == ".json":
        return read_json(paths[0])
    return _from_csv(paths)


def read_tool_output(folder: Path) -> Profile:
    """What a profiler wrote below a folder: traces where there are any (their sums say the same again)."""
    found = sorted(path for path in folder.rglob("*.csv") if is_kernel_file(path))
    if not found:
        raise ProfileFileError(f"{folder}: has no CSV file with kernels")
    traces = [path for path in found if read_csv(path).is_trace]
    return _from_csv(traces or found)


def read_json(path: Path) -> Profile:
    """A profile.json."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != 1:
            raise ProfileFileError(f"{path}: has format {content['format']}; a newer aam-rocm-tools is needed")
        kernels = [Kernel(str(k["name"]), int(k["calls"]), float(k["total_ns"])) for k in content["kernels"]]
        wall = content["wall_ns"]
        return Profile(
            str(content["tool"]),
            merged(kernels),
            None if wall is None else float(wall),
            str(content["device"]),
            [str(word) for word in content["command"]],
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ProfileFileError(f"{path}: not a {FILE} ({type(error).__name__}: {error})") from error


def _from_csv(paths: list[Path]) -> Profile:
    files = [read_csv(path) for path in paths]
    kinds = {file.is_trace for file in files}
    if len(kinds) > 1:
        raise ProfileFileError("traces and sums of the same run count twice: name files of one kind")
    # Timestamps count from the start of each machine, so the span is the longest of a file, not over files.
    spans = [file.span_ns[1] - file.span_ns[0] for file in files if file.span_ns]
    kernels = merged(kernel for file in files for kernel in file.kernels)
    return Profile(files[0].tool, kernels, max(spans) if spans else None)
