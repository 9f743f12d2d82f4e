"""The command ``aam-rocm``. Its work is imported when it is used: torch takes seconds, ``--help`` need not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from aam_rocm_tools.containers.command import command as containers
from aam_rocm_tools.slurm.command import command as slurm

_PATH = click.Path(path_type=Path)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON in place of text.")


@click.group(context_settings={"max_content_width": 100})
@click.version_option(package_name="aam-rocm-tools")
def main() -> None:
    """PyTorch on AMD GPUs and clusters: what is there, what is wrong, what to give. Runs on other machines too."""


@main.command()
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto (a GPU if there is one), cpu, cuda or cuda:N. ROCm devices are called cuda too.",
)
@click.option("--speed/--no-speed", default=True, help="Whether to measure time and memory too.  [default: speed]")
@_as_json
def attention(device: str, speed: bool, as_json: bool) -> None:
    """Compare every attention kernel that runs here with the formula in float64.

    With and without masks, outputs and gradients, in every precision. Exits with 0 when all agree and with 1 when one
    does not, and says which flags help.
    """
    from aam_rocm_tools.attention_diagnostic import diagnose
    from aam_rocm_tools.backends import find_device
    from aam_rocm_tools.report import attention_report

    try:
        chosen = find_device(device)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--device") from error
    diagnosis = diagnose(chosen, speed=speed)
    click.echo(json.dumps(diagnosis.to_dict(), indent=1) if as_json else attention_report(diagnosis))
    sys.exit(1 if diagnosis.wrong else 0)


@main.command()
@_as_json
def env(as_json: bool) -> None:
    """Say what this machine has: devices, drivers, libraries, variables; warn of what does not fit together."""
    from aam_rocm_tools.environment import environment_report, look_around

    found = look_around()
    click.echo(json.dumps(found.to_dict(), indent=1) if as_json else environment_report(found))


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--output-dir", type=_PATH, required=True, help="Folder for what the profiler writes and the report.")
@click.option(
    "--tool",
    type=click.Choice(["auto", "rocprofv3", "rocprof", "torch"]),
    default="auto",
    show_default=True,
    help="Profiler; auto takes the first of these that is installed. torch is for Python programs on any device.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def profile(output_dir: Path, tool: str, command: tuple[str, ...]) -> None:
    """Run COMMAND and say where the time of its kernels goes: `aam-rocm profile --output-dir P -- aam pretrain ...`.

    Writes profile.json and report.md. Keep the command to a few steps: every kernel is recorded. Exits with the status
    of the command.
    """
    from aam_rocm_tools.kernel_profile.report import markdown_report
    from aam_rocm_tools.kernel_profile.run import ProfileError, run_profile

    try:
        found, status = run_profile(list(command), output_dir, tool)
    except ProfileError as error:
        raise click.UsageError(str(error)) from error
    click.echo(markdown_report(found))
    sys.exit(status)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="A B | CSV...")
@click.option("--report", "alone", is_flag=True, help="Report the files as one profile in place of comparing two.")
@_as_json
def compare(paths: tuple[Path, ...], alone: bool, as_json: bool) -> None:
    """Compare two profiles: ROCm with CUDA, or before with after.

    A and B are folders of `aam-rocm profile`, profile.json files, or CSV files of rocprof and rocprofv3. With --report
    any number of them is read as one profile, such as the files of all processes of a run.
    """
    from aam_rocm_tools.kernel_profile.compare import compare_profiles, markdown_comparison
    from aam_rocm_tools.kernel_profile.read import ProfileFileError, read_profile
    from aam_rocm_tools.kernel_profile.report import markdown_report

    if not alone and len(paths) != 2:
        raise click.UsageError("name two profiles, or give --report")
    try:
        if alone:
            whole = read_profile(list(paths))
            click.echo(json.dumps(whole.to_dict(), indent=1) if as_json else markdown_report(whole))
            return
        found = compare_profiles(read_profile([paths[0]]), read_profile([paths[1]]))
    except ProfileFileError as error:
        raise click.UsageError(str(error)) from error
    click.echo(json.dumps(found.to_dict(), indent=1) if as_json else markdown_comparison(found))


@main.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.option("--gb", type=click.FloatRange(min=0, min_open=True), help="Memory of another device to judge for.")
@_as_json
def memory(run: Path, gb: float | None, as_json: bool) -> None:
    """Say what a run with --memory-profile needed, and which flags change that.

    RUN is its folder, or the memory.json in it.
    """
    from aam_rocm_tools.memory_report import MemoryFileError, memory_report, read_memory, suggestions

    try:
        found = read_memory(run)
    except MemoryFileError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps({**found.to_dict(), "suggestions": suggestions(found, gb)}, indent=1))
    else:
        click.echo(memory_report(found, gb))


main.add_command(slurm, "slurm")
main.add_command(containers, "containers")
