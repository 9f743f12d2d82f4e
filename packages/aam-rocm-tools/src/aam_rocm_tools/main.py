"""The command ``aam-rocm``. Modules that need torch, which takes seconds to import, are imported when they are used."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from aam_rocm_tools.attention.command import command as attention
from aam_rocm_tools.containers.command import command as containers
from aam_rocm_tools.slurm.command import command as slurm

_PATH = click.Path(path_type=Path)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


class _Program(click.Group):
    """Group that ends with one line when a file or standard output cannot be written."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the program."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            click.echo(f"Error: {error.filename or 'standard output'}: {error.strerror}", err=True)
            if error.filename is None:  # what it still holds would fail again when the program ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(2)


@click.group(cls=_Program, context_settings={"max_content_width": 100})
@click.version_option(package_name="aam-rocm-tools")
def main() -> None:
    """Diagnose PyTorch on AMD GPUs and clusters, and recommend flags. Other machines work too."""


@main.command()
@_as_json
def env(as_json: bool) -> None:
    """Show devices, drivers, libraries and environment variables of this machine, and warn about mismatches."""
    from aam_rocm_tools.environment import environment_report, inspect_environment

    environment = inspect_environment()
    click.echo(json.dumps(environment.to_dict(), indent=1) if as_json else environment_report(environment))


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--output-dir", type=_PATH, required=True, help="Folder for the files of the profiler and the report.")
@click.option(
    "--tool",
    type=click.Choice(["auto", "rocprofv3", "rocprof", "torch"]),
    default="auto",
    show_default=True,
    help="Profiler; auto is the first of these that is installed. torch profiles Python programs on any device.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def profile(output_dir: Path, tool: str, command: tuple[str, ...]) -> None:
    """Run COMMAND and report the time of its kernels: `aam-rocm profile --output-dir P -- aam pretrain ...`.

    Writes profile.json and report.md. Limit the command to a few steps: every kernel is recorded. The exit status is
    that of the command.
    """
    from aam_rocm_tools.kernel_profile.report import markdown_report
    from aam_rocm_tools.kernel_profile.run import ProfileError, run_profile

    try:
        profile, status = run_profile(list(command), output_dir, tool)
    except ProfileError as error:
        raise click.UsageError(str(error)) from error
    click.echo(markdown_report(profile))
    sys.exit(status)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="A B | CSV...")
@click.option("--report", "alone", is_flag=True, help="Report the files as one profile instead of comparing two.")
@_as_json
def compare(paths: tuple[Path, ...], alone: bool, as_json: bool) -> None:
    """Compare two profiles: ROCm with CUDA, or before with after.

    A and B are folders of `aam-rocm profile`, profile.json files, or CSV files of rocprof and rocprofv3. With --report,
    any number of them are read as one profile, for example the files of all processes of a run.
    """
    from aam_rocm_tools.kernel_profile.compare import compare_profiles, markdown_comparison
    from aam_rocm_tools.kernel_profile.read import ProfileFileError, read_profile
    from aam_rocm_tools.kernel_profile.report import markdown_report

    if not alone and len(paths) != 2:
        raise click.UsageError("name two profiles, or pass --report")
    try:
        if alone:
            profile = read_profile(list(paths))
            click.echo(json.dumps(profile.to_dict(), indent=1) if as_json else markdown_report(profile))
            return
        comparison = compare_profiles(read_profile([paths[0]]), read_profile([paths[1]]))
    except ProfileFileError as error:
        raise click.UsageError(str(error)) from error
    click.echo(json.dumps(comparison.to_dict(), indent=1) if as_json else markdown_comparison(comparison))


@main.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--gb",
    type=click.FloatRange(min=0, min_open=True),
    help="Memory of another device, to estimate the batch size for.",
)
@_as_json
def memory(run: Path, gb: float | None, as_json: bool) -> None:
    """Show the memory that a run with --memory-profile used, and the flags that change it.

    RUN is the run folder, or the memory.json in it.
    """
    from aam_rocm_tools.memory_report import MemoryFileError, memory_report, read_memory, suggestions

    try:
        record = read_memory(run)
    except MemoryFileError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps({**record.to_dict(), "suggestions": suggestions(record, gb)}, indent=1))
    else:
        click.echo(memory_report(record, gb))


main.add_command(attention, "attention")
main.add_command(slurm, "slurm")
main.add_command(containers, "containers")
