"""Runs of a command under a profiler: rocprofv3, rocprof, or torch.profiler if neither is installed."""

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
    """A command cannot be profiled; the message names the reason and the remedy."""


def run_profile(command: list[str], output: Path, tool: str = "auto") -> tuple[Profile, int]:
    """Run a command and write ``profile.json`` and ``report.md``.

    Args:
        command: the words of the command.
        output: folder for these files and those of the profiler; must be new or empty.
        tool: "rocprofv3", "rocprof", "torch", or "auto" for the first that is installed.

    Returns:
        The profile, and the exit status of the command.

    Raises:
        ProfileError: no such tool or command; the folder is not empty; the profiler wrote nothing.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ProfileError(f"--output-dir {output}: exists already. Use a new folder")
    profiler = tool if tool != "auto" else next((name for name in _TOOLS if shutil.which(name)), "torch")
    if profiler in _TOOLS and shutil.which(profiler) is None:
        raise ProfileError(
            f"--tool {profiler}: is not installed here. Load a rocm module, or use --tool torch for Python"
        )
    if shutil.which(command[0]) is None:
        raise ProfileError(f"{command[0]}: no such command")
    wrapped = wrap(command, output, profiler)
    output.mkdir(parents=True, exist_ok=True)
    status = subprocess.run(wrapped, check=False).returncode
    try:
        profile = read_json(output / FILE) if profiler == "torch" else read_tool_output(output)
    except (ProfileFileError, FileNotFoundError) as error:
        raise ProfileError(f"the command ended with status {status} before {profiler} could write: {error}") from error
    profile = dataclasses.replace(profile, command=command)
    (output / FILE).write_text(json.dumps(profile.to_dict(), indent=1) + "\n", encoding="utf-8")
    (output / "report.md").write_text(markdown_report(profile) + "\n", encoding="utf-8")
    return profile, 128 - status if status < 0 else status  # signals as shells report them


def wrap(command: list[str], output: Path, tool: str) -> list[str]:
    """Return the words that run ``command`` under ``tool``.

    Raises:
        ProfileError: ``tool`` is "torch" and the command is not a Python program.
    """
    if tool == "rocprofv3":
        # The default format is not CSV in every version, so it is set. The default names, by host and process, are
        # right: child processes must not overwrite each other's files.
        options = ["--kernel-trace", "--stats", "--output-format", "csv", "-d", str(output)]
        return ["rocprofv3", *options, "--", *command]
    if tool == "rocprof":
        return ["rocprof", "--stats", "--timestamp", "on", "-o", str(output / "results.csv"), *command]
    interpreter, rest = python_command(command)
    return [*interpreter, str(_RUNNER), str(output / FILE), *rest]


def python_command(command: list[str]) -> tuple[list[str], list[str]]:
    """Split a command into the interpreter with its options, and the script or ``-m module`` with its arguments.

    Raises:
        ProfileError: the command is not a Python program.
    """
    program = shutil.which(command[0])
    assert program is not None
    if re.fullmatch(r"python[\d.]*", Path(program).name):
        n_options = 0
        while len(command) > n_options + 1 and re.fullmatch(r"-[bBdEiIOPqRsSuvx]+", command[n_options + 1]):
            n_options += 1
        rest = command[n_options + 1 :]
        if not rest or rest[0] == "-c" or (rest[0].startswith("-") and rest[0] != "-m"):
            raise ProfileError(f"{' '.join(command)}: torch.profiler only runs `python SCRIPT` and `python -m MODULE`")
        return [program, *command[1 : n_options + 1]], rest
    with open(program, "rb") as file:
        first = file.readline(512)
        second = file.readline(4096)
    if match := re.fullmatch(rb"#!\s*(\S*python[\d.]*)\s*", first):
        return [match[1].decode()], [program, *command[1:]]
    if match := re.fullmatch(rb"#!\s*/usr/bin/env\s+(python[\d.]*)\s*", first):
        return [shutil.which(match[1].decode()) or sys.executable], [program, *command[1:]]
    # Installers start scripts through a shell if the interpreter's path is too long for the first line.
    if first.startswith(b"#!/bin/sh") and (match := re.match(rb"'''exec' \"?([^\s\"]+python[\d.]*)\"?", second)):
        return [match[1].decode()], [program, *command[1:]]
    raise ProfileError(
        f"{command[0]}: is not a Python program, and neither rocprofv3 nor rocprof is used. torch.profiler only sees "
        "its own process; pass the Python command itself"
    )
