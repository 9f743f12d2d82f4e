"""``aam-rocm containers``."""

from __future__ import annotations

from importlib import resources

import click

FILES = {"rocm": "aam-rocm.def", "cpu": "Dockerfile.cpu", "cuda": "Dockerfile.cuda"}


def definition(kind: str) -> str:
    """Return the text of a container definition; ``kind`` is a key of ``FILES``."""
    return resources.files("aam_rocm_tools.containers").joinpath(f"files/{FILES[kind]}").read_text("utf-8")


@click.command("containers", short_help="Write a container definition.")
@click.argument("kind", type=click.Choice(tuple(FILES)))
def command(kind: str) -> None:
    """Write a container definition on standard output.

    \b
    rocm  Apptainer, ROCm 6.3 with PyTorch 2.7.1
    cpu   Dockerfile without GPUs
    cuda  Dockerfile for NVIDIA GPUs

    Build them in the root of AAM's repository, as described in their first lines.
    """
    click.echo(definition(kind), nl=False)
