"""``aam slurm``: the same command as ``aam-rocm slurm``."""

from __future__ import annotations

from aam_rocm_tools.slurm.command import command

__all__ = ["command"]
