"""Options of input files: table, metadata, phylogeny and taxonomy. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aam_data.options.base import Common, PhylogeneticTarget, UnifracMetric, check_alpha, require


@dataclass(frozen=True)
class TableOptions:
    """The feature table and its sequences."""

    table: Common[Path]
    """Feature table: BIOM 2.1 or 1.0 (.biom), tab-separated text, or FeatureTable[Frequency] .qza."""
    sequences: Common[Path | None] = None
    """FASTA (.fasta, .fa, .fna, .gz) or FeatureData[Sequence] .qza; needed when feature ids are not sequences."""
    trim_length: int = 0
    """Cut every sequence to this many bases and sum the counts of those that become equal; 0 keeps them whole."""
    missing_features: Literal["error", "drop"] = "error"
    """What to do with features that have no sequence."""
    relative_abundance: bool = False
    """Accept a table of fractions, or of presence and absence, where reads are expected; it is never rarefied."""
    max_input_gb: float = 8.0
    """Refuse input files that declare more than this many GB of content."""

    def __post_init__(self) -> None:
        require(self.trim_length >= 0, f"--trim-length {self.trim_length}: must be 0 or more")
        require(self.max_input_gb > 0, f"--max-input-gb {self.max_input_gb}: must be above 0")

    def check_depth(self, rarefy_depth: int | None) -> None:
        """Refuse to draw reads of what are not reads."""
        require(
            not (self.relative_abundance and rarefy_depth),
            f"--rarefy-depth {rarefy_depth} and --relative-abundance exclude each other: fractions are not reads",
        )


@dataclass(frozen=True)
class MetadataOptions:
    """Sample metadata."""

    metadata: Common[Path | None] = None
    """Sample metadata: tab-separated (QIIME 2, Qiita), .csv, .gz, or ImmutableMetadata .qza."""
    id_column: str | None = None
    """The column with sample ids; found by its name when not given."""
    na_value: tuple[str, ...] = ()
    """A further cell value that means missing, in any case; may be repeated."""
    default_na: bool = True
    """Whether the usual words for missing ("not provided", "NA", ...) count as missing."""
    missing_samples: Literal["error", "ignore"] = "error"
    """What to do with samples of the table that the metadata does not have."""


@dataclass(frozen=True)
class PhylogenyOptions:
    """Where UniFrac targets come from: the tree, or a matrix made before."""

    tree: Common[Path | None] = None
    """Rooted tree with the ASVs as tips: newick (.nwk, .newick, .tre, .tree, .gz) or Phylogeny[Rooted] .qza."""
    unifrac_matrix: Path | None = None
    """Precomputed distances in place of --tree: ssu HDF5 (.h5), .tsv, .csv, .npy, .npz or DistanceMatrix .qza."""
    unifrac_metric: Common[PhylogeneticTarget] = "unifrac"
    """What is learned from the phylogeny: `unifrac` (unweighted), `weighted` (normalized), `weighted_unnormalized`
    (QIIME 2's weighted_unifrac) or `generalized` distances of pairs, `faith_pd` of samples, or `combined`, unweighted
    UniFrac and Faith's PD. For --unifrac-matrix it says what the file holds."""
    unifrac_alpha: float = 1.0
    """Weight of abundant branches in generalized UniFrac, 0 to 1; 1 is `weighted`."""
    matrix_ids: Path | None = None
    """Sample ids of a .npy matrix, one a line, in the order of its rows."""
    matrix_index: int | None = None
    """Which matrix of a file with several (`ssu --mode multi`), counted from 0. Default: their mean."""
    missing_tips: Literal["error", "ignore"] = "error"
    """ASVs that are not in the tree stay input and are left out of the targets; `error` refuses the tree when they
    hold more than 5 % of all reads, `ignore` accepts any share."""
    clip_negative_lengths: bool = False
    """Read negative branch lengths, which some methods estimate, as 0, with a printed count; refused otherwise."""

    @property
    def pair_metric(self) -> UnifracMetric:
        """The metric of pairs: unweighted where Faith's PD is asked for."""
        metric = self.unifrac_metric
        return "unifrac" if metric == "faith_pd" or metric == "combined" else metric

    def __post_init__(self) -> None:
        require(
            self.tree is None or self.unifrac_matrix is None,
            "--tree and --unifrac-matrix exclude each other: give the one that the targets should come from",
        )
        check_alpha(self.unifrac_alpha, self.unifrac_metric)
        require(
            self.unifrac_matrix is None or self.unifrac_metric not in ("faith_pd", "combined"),
            f"--unifrac-metric {self.unifrac_metric} needs --tree: a distance matrix has no Faith PD",
        )
        require(
            self.matrix_ids is None or self.unifrac_matrix is not None,
            "--matrix-ids names the rows of a .npy --unifrac-matrix: give both",
        )
        require(
            self.matrix_index is None or (self.matrix_index >= 0 and self.unifrac_matrix is not None),
            f"--matrix-index {self.matrix_index}: must be 0 or more, beside --unifrac-matrix",
        )
        require(
            not self.clip_negative_lengths or self.tree is not None,
            "--clip-negative-lengths is about branches: give it with --tree",
        )


@dataclass(frozen=True)
class TaxonomyOptions:
    """Taxonomy of the ASVs."""

    taxonomy: Path | None = None
    """Taxonomy of the features to learn from: `Feature ID, Taxon` as QIIME 2 writes it (.tsv, .gz), .csv or
    FeatureData[Taxonomy] .qza."""
