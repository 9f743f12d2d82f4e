"""Root configs of the commands that need no model. Standard library only, so that ``--help`` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aam_data.config import Common, SimulateOptions, TableOptions, UnifracOptions


@dataclass(frozen=True)
class SimulateOutputOptions:
    """Output."""

    output_dir: Common[Path]
    """Folder for table.biom, tree.nwk, rep-seqs.fasta, metadata.tsv and truth.json; made when absent."""


@dataclass(frozen=True)
class SimulateConfig:
    """Settings of `aam simulate`."""

    study: SimulateOptions
    output: SimulateOutputOptions


@dataclass(frozen=True)
class UnifracConfig:
    """Settings of `aam unifrac`."""

    table: TableOptions
    unifrac: UnifracOptions
