"""Options of input files: table, metadata, phylogeny and taxonomy. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aam_data.options.base import Common, PhylogeneticTarget, UnifracMetric, check_alpha, require
from aam_data.options.input_path import InputFile


@dataclass(frozen=True)
class TableOptions:
    """The feature table and its sequences."""

    table: Common[InputFile[Path | None]] = None
    """Feature table: BIOM 2.1 or 1.0 (.biom), tab-separated text, .csv, or FeatureTable[Frequency]
    .qza."""
    sequences: Common[InputFile[Path | None]] = None
    """FASTA (.fasta, .fa, .fna, .gz) or FeatureData[Sequence] .qza; needed when feature ids are not sequences."""
    trim_length: int = 0
    """Trim every sequence to this many bases and sum the counts of sequences that become equal; 0 = no trimming."""
    missing_features: Literal["error", "drop"] = "error"
    """What to do with features that have no sequence."""
    relative_abundance: bool = False
    """Accept a table of fractions, or of presence and absence, instead of reads; it is never rarefied."""
    max_input_gb: float = 8.0
    """Reject input files that declare more than this many GB of content."""

    def __post_init__(self) -> None:
        require(self.trim_length >= 0, f"--trim-length {self.trim_length}: must be 0 or more")
        require(self.max_input_gb > 0, f"--max-input-gb {self.max_input_gb}: must be above 0")

    @property
    def path(self) -> Path:
        """The feature table. Raises ValueError without one; `aam pretrain --corpus` reads none."""
        if self.table is None:
            raise ValueError("missing --table")
        return self.table

    def check_depth(self, rarefy_depth: int | None) -> None:
        """Raise ValueError when fractions would be rarefied."""
        require(
            not (self.relative_abundance and rarefy_depth),
            f"--rarefy-depth {rarefy_depth} and --relative-abundance cannot be combined; fractions are not reads",
        )


@dataclass(frozen=True)
class MetadataOptions:
    """Sample metadata."""

    metadata: Common[InputFile[Path | None]] = None
    """Sample metadata: tab-separated (QIIME 2, Qiita), .csv, .gz, or ImmutableMetadata .qza."""
    id_column: str | None = None
    """The column with sample ids. Default: detected by its name."""
    na_value: tuple[str, ...] = ()
    """An additional cell value that means missing, upper or lower case; may be repeated."""
    default_na: bool = True
    """Whether the usual words for missing ("not provided", "NA", ...) count as missing."""
    missing_samples: Literal["error", "ignore"] = "error"
    """What to do with samples of the table that are not in the metadata."""


@dataclass(frozen=True)
class PhylogenyOptions:
    """Source of the UniFrac targets: a tree, or a precomputed distance matrix, which a tree can check."""

    tree: Common[InputFile[Path | None]] = None
    """Rooted tree with the ASVs as tips: newick (.nwk, .newick, .tre, .tree, .gz) or Phylogeny[Rooted] .qza."""
    unifrac_matrix: InputFile[Path | None] = None
    """Precomputed distances instead of --tree: ssu HDF5 (.h5), .tsv, .csv, .npy, .npz or DistanceMatrix .qza. With
    --tree too, some of them are compared with those of the tree; a difference is an error."""
    unifrac_metric: Common[PhylogeneticTarget] = "unifrac"
    """What to learn from the phylogeny: pairwise distances by `unifrac` (unweighted), `weighted` (normalized),
    `weighted_unnormalized` (QIIME 2's weighted_unifrac) or `generalized` UniFrac, `faith_pd` of samples, or
    `combined`: unweighted UniFrac and Faith's PD. With --unifrac-matrix, the metric that the file contains."""
    unifrac_alpha: float = 1.0
    """Weight of abundant branches in generalized UniFrac, 0 to 1; 1 is `weighted`."""
    matrix_ids: InputFile[Path | None] = None
    """Sample ids of a .npy matrix, one per line, in the order of its rows. Default: the samples of --table, in the
    order of that file, with a warning; their number must be that of the rows."""
    matrix_index: int | None = None
    """Which matrix of a file with several (`ssu --mode multi`), counted from 0. Default: their mean."""
    missing_tips: Literal["error", "ignore"] = "error"
    """ASVs that are not in the tree remain model input but are left out of the targets; `error` stops when they
    hold more than 5 % of all reads, `ignore` accepts any share."""
    clip_negative_lengths: bool = False
    """Read negative branch lengths, which some methods estimate, as 0 and report how many; an error otherwise."""

    @property
    def pair_metric(self) -> UnifracMetric:
        """The metric of pairs: unweighted UniFrac for the targets with Faith's PD."""
        metric = self.unifrac_metric
        return "unifrac" if metric == "faith_pd" or metric == "combined" else metric

    def __post_init__(self) -> None:
        check_alpha(self.unifrac_alpha, self.unifrac_metric)
        require(
            self.unifrac_matrix is None or self.unifrac_metric not in ("faith_pd", "combined"),
            f"--unifrac-metric {self.unifrac_metric} needs --tree: a distance matrix does not contain Faith's PD",
        )
        require(
            self.matrix_ids is None or self.unifrac_matrix is not None,
            "--matrix-ids only applies to a .npy --unifrac-matrix; pass both",
        )
        require(
            self.matrix_index is None or (self.matrix_index >= 0 and self.unifrac_matrix is not None),
            f"--matrix-index {self.matrix_index}: must be 0 or more, and needs --unifrac-matrix",
        )
        require(
            not self.clip_negative_lengths or self.tree is not None,
            "--clip-negative-lengths only applies to --tree; pass both",
        )


@dataclass(frozen=True)
class TaxonomyOptions:
    """Taxonomy of the ASVs."""

    taxonomy: InputFile[Path | None] = None
    """Taxonomy of the features, a pretraining target: a table with `Feature ID, Taxon` as QIIME 2 writes it (.tsv,
    .gz), .csv or FeatureData[Taxonomy] .qza."""
