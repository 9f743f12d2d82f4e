"""``aam-rocm containers``."""

from __future__ import annotations

import re
from importlib import resources

import click

FILES = {"rocm": "aam-rocm.def", "cpu": "Dockerfile.cpu", "cuda": "Dockerfile.cuda"}
_BASE = re.compile(r"^((?:ARG BASE=|From: )\S+)$", re.M)


def definition(kind: str, base_digest: str | None = None) -> str:
    """Return the text of a container definition.

    Args:
        kind: a key of ``FILES``.
        base_digest: digest of the base image, ``sha256:`` and 64 hexadecimal digits; its tag by default.

    Raises:
        ValueError: not a digest.
    """
    text = resources.files("aam_rocm_tools.containers").joinpath(f"files/{FILES[kind]}").read_text("utf-8")
    if base_digest is None:
        return text
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", base_digest):
        raise ValueError(f"--base-digest {base_digest[:80]!r}: must be sha256: and 64 hexadecimal digits")
    return _BASE.sub(rf"\1@{base_digest}", text)


@click.command("containers", short_help="Write a container definition.")
@click.argument("kind", type=click.Choice(tuple(FILES)))
@click.option("--base-digest", help="Digest of the base image, sha256:..., which pins it. Default: its tag only.")
def command(kind: str, base_digest: str | None) -> None:
    """Write a container definition on standard output.

    \b
    rocm  Apptainer, ROCm 6.3 with PyTorch 2.7.1
    cpu   Dockerfile without GPUs
    cuda  Dockerfile for NVIDIA GPUs

    Build them in the root of AAM's repository, as described in their first lines.
    """
    try:
        text = definition(kind, base_digest)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(text, nl=False)
