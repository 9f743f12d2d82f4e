"""A command under a profiler: rocprofv3, rocprof, or torch.profiler where neither is installed."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from aam_rocm_tools.kernel_profile.kernels import Profile
from aam_rocm_tools.kernel_profile.read import FILE, ProfileFileError, read_json, read_tool_output
from aam_rocm_tools.kernel_profile.report import markdown_report

_RUNNER = Path(__file__).with_name("torch_runner.py")
_TOOLS = ("rocprofv3", "rocprof")


class ProfileError(ValueError):
    """The command cannot be profiled; the message says why and what to do."""


def run_profile(command: list[str], output: Path, tool: str = "auto") -> tuple[Profile, int]:
    """Run a command and write ``profile.json`` and ``report.md``.

    Args:
        command: its words.
        output: folder for them and for what the profiler writes; must not exist or be empty.
        tool: "rocprofv3", "rocprof", "torch", or "auto" for the first that is installed.

    Returns:
        The profile, and the exit status of the command.

    Raises:
        ProfileError: no such tool or command; the folder is not empty; the profiler wrote nothing.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ProfileError(f"--output-dir {output}: exists already. Name a new folder")
    chosen = tool if tool != "auto" else next((name for name in _TOOLS if shutil.which(name)), "torch")
    if chosen in _TOOLS and shutil.which(chosen) is None:
        raise ProfileError(f"--tool {chosen}: is not installed here (load a rocm module). Give --tool torch for Python")
    if shutil.which(command[0]) is None:
        raise ProfileError(f"{command[0]}: no such command")
    wrapped = wrap(command, output, chosen)
    output.mkdir(parents=True, exist_ok=True)
    status = subprocess.run(wrapped, check=False).returncode
    try:
        found = read_json(output / FILE) if chosen == "torch" else read_tool_output(output)
    except (ProfileFileError, FileNotFoundError) as error:
        raise ProfileError(f"the command ended with status {status} before {chosen} could write: {error}") from error
    found = dataclasses.replace(found, command=command)
    (output / FILE).write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")
    (output / "report.md").write_text(markdown_report(found) + "\n", encoding="utf-8")
    return found, 128 - status if status < 0 else status  # as a shell tells of signals


def wrap(command: list[str], output: Path, tool: str) -> list[str]:
    """The words that run ``command`` under ``tool``.

    Raises:
        ProfileError: torch.profiler is to run something that is not Python.
    """
    if tool == "rocprofv3":
        # The default format is not CSV in every version, so it is asked for. The default names, by host and process,
        # are right: child processes must not write over each other.
        options = ["--kernel-trace", "--stats", "--output-format", "csv", "-d", str(output)]
        return ["rocprofv3", *options, "--", *command]
    if tool == "rocprof":
        return ["rocprof", "--stats", "--timestamp", "on", "-o", str(output / "results.csv"), *command]
    interpreter, rest = python_command(command)
    return [*interpreter, str(_RUNNER), str(output / FILE), *rest]


def python_command(command: list[str]) -> tuple[list[str], list[str]]:
    """A command in two parts: the interpreter with its options, and what it runs (a script or ``-m module``) with its
    arguments."""
    program = shutil.which(command[0])
    assert program is not None
    if re.fullmatch(r"python[\d.]*", Path(program).name):
        n_options = 0
        while len(command) > n_options + 1 and re.fullmatch(r"-[bBdEiIOPqRsSuvx]+", command[n_options + 1]):
            n_options += 1
        rest = command[n_options + 1 :]
        if not rest or rest[0] == "-c" or (rest[0].startswith("-") and rest[0] != "-m"):
            raise ProfileError(f"{' '.join(command)}: torch.profiler runs `python SCRIPT` and `python -m MODULE` only")
        return [program, *command[1 : n_options + 1]], rest
    with open(program, "rb") as file:
        first = file.readline(512)
        second = file.readline(4096)
    if match := re.fullmatch(rb"#!\s*(\S*python[\d.]*)\s*", first):
        return [match[1].decode()], [program, *command[1:]]
    if match := re.fullmatch(rb"#!\s*/usr/bin/env\s+(python[\d.]*)\s*", first):
        return [shutil.which(match[1].decode()) or sys.executable], [program, *command[1:]]
    # Installers start scripts by a shell where the interpreter's path is too long for the first line.
    if first.startswith(b"#!/bin/sh") and (match := re.match(rb"'''exec' \"?([^\s\"]+python[\d.]*)\"?", second)):
        return [match[1].decode()], [program, *command[1:]]
    raise ProfileError(
        f"{command[0]}: is not a Python program, and neither rocprofv3 nor rocprof is used: torch.profiler sees the "
        "process that it runs in only. Give the Python command itself"
    )
