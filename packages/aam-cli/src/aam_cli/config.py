"""Root configs of the commands without a model. Standard library only, so that ``--help`` is instant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from aam_data.options.alias import Required
from aam_data.options.base import Common, require
from aam_data.options.commands import CheckOptions, UnifracOptions
from aam_data.options.corpus import CorpusStudyOptions
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions


@dataclass(frozen=True)
class SimulateOutputOptions:
    """Output."""

    output_dir: Common[Path]
    """Folder for table.biom, tree.nwk, rep-seqs.fasta, metadata.tsv and truth.json; created if it does not exist."""


@dataclass(frozen=True)
class SimulateConfig:
    """Settings of `aam simulate`."""

    study: SimulateOptions
    output: SimulateOutputOptions


@dataclass(frozen=True)
class UnifracConfig:
    """Settings of `aam unifrac`."""

    table: Annotated[TableOptions, Required("table")]
    unifrac: UnifracOptions

    def __post_init__(self) -> None:
        self.table.check_depth(self.unifrac.rarefy_depth)


@dataclass(frozen=True)
class CheckConfig:
    """Settings of `aam check`."""

    table: Annotated[TableOptions, Required("table")]
    metadata: MetadataOptions = MetadataOptions()
    phylogeny: PhylogenyOptions = PhylogenyOptions()
    check: CheckOptions = CheckOptions()
    split: SplitOptions = SplitOptions()
    sample: SampleOptions = SampleOptions()
    taxonomy: TaxonomyOptions = TaxonomyOptions()

    def __post_init__(self) -> None:
        self.table.check_depth(self.sample.rarefy_depth)
        columns = self._columns_given()
        if columns and self.metadata.metadata is None:
            raise ValueError(f"{columns[0]} is a column of --metadata; pass --metadata too")
        if self.check.cv and (self.split.splits_from or self.split.train_samples):
            raise ValueError("--cv makes its own splits; omit --splits-from and --train-samples")

    def _columns_given(self) -> list[str]:
        is_given = {
            "--metadata-column": bool(self.check.metadata_column),
            "--group-column": self.split.group_column is not None,
            "--stratify-column": self.split.stratify_column is not None,
        }
        return [flag for flag, given in is_given.items() if given]


@dataclass(frozen=True)
class CorpusAddConfig:
    """Settings of `aam corpus add`."""

    study: CorpusStudyOptions
    table: Annotated[TableOptions, Required("table")]
    metadata: MetadataOptions = MetadataOptions()
    taxonomy: TaxonomyOptions = TaxonomyOptions()

    def __post_init__(self) -> None:
        require(not self.table.relative_abundance, "--relative-abundance: a corpus holds reads. Omit it")
