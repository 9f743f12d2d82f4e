"""Options about files, samples and targets. Standard library only, so that ``--help`` is instant.

Each field is one command line option: its name, type and default stand here, its help text is the docstring under it.
``Common`` marks the options that ``--help`` shows; the others appear under ``--help-all``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

_T = TypeVar("_T")
Common = Annotated[_T, "common"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class TableOptions:
    """The feature table and its sequences."""

    table: Common[Path]
    """Feature table: BIOM 2.1 (.biom) or a QIIME 2 artifact FeatureTable[Frequency] (.qza)."""
    sequences: Common[Path | None] = None
    """FASTA (.fasta, .fa, .fna, .gz) or FeatureData[Sequence] .qza; needed when feature ids are not sequences."""
    trim_length: int = 0
    """Cut every sequence to this many bases and sum the counts of those that become equal; 0 keeps them whole."""
    missing_features: Literal["error", "drop"] = "error"
    """What to do with features that have no sequence."""
    max_input_gb: float = 8.0
    """Refuse input files that declare more than this many GB of content."""

    def __post_init__(self) -> None:
        _require(self.trim_length >= 0, f"--trim-length {self.trim_length}: must be 0 or more")
        _require(self.max_input_gb > 0, f"--max-input-gb {self.max_input_gb}: must be above 0")


@dataclass(frozen=True)
class MetadataOptions:
    """Sample metadata."""

    metadata: Common[Path | None] = None
    """Sample metadata: tab-separated (QIIME 2, Qiita) or .csv."""
    id_column: str | None = None
    """The column with sample ids; found by its name when not given."""
    na_value: tuple[str, ...] = ()
    """A further cell value that means missing; may be repeated."""
    default_na: bool = True
    """Whether the usual words for missing ("not provided", "NA", ...) count as missing."""
    missing_samples: Literal["error", "ignore"] = "error"
    """What to do with samples of the table that the metadata does not have."""


@dataclass(frozen=True)
class PhylogenyOptions:
    """Where UniFrac targets come from: the tree, or a matrix made before."""

    tree: Common[Path | None] = None
    """Rooted tree with the ASVs as tips: newick (.nwk, .tree, .gz) or Phylogeny[Rooted] .qza."""
    unifrac_matrix: Path | None = None
    """Precomputed distances in place of --tree: ssu HDF5 (.h5), .tsv, .csv, .npy, .npz or DistanceMatrix .qza."""
    matrix_ids: Path | None = None
    """Sample ids of a .npy matrix, one a line, in the order of its rows."""
    missing_tips: Literal["error", "ignore"] = "error"
    """ASVs that are not in the tree stay input and are left out of the targets; `error` refuses the tree when they
    hold more than 5 % of all reads, `ignore` accepts any share."""

    def __post_init__(self) -> None:
        _require(
            self.tree is None or self.unifrac_matrix is None,
            "--tree and --unifrac-matrix exclude each other: give the one that the targets should come from",
        )
        _require(
            self.matrix_ids is None or self.unifrac_matrix is not None,
            "--matrix-ids names the rows of a .npy --unifrac-matrix: give both",
        )


@dataclass(frozen=True)
class SampleOptions:
    """How a sample becomes model input."""

    rarefy_depth: Common[int | None] = None
    """Reads drawn per sample without replacement, anew every epoch (once with --unifrac-matrix); 0 = off.
    Default: 5000; 0 with --unifrac-matrix; for `aam train --pretrained-encoder`, as in that."""
    token_limit: int = 1024
    """Most ASVs of a sample that the model sees; the most abundant are kept."""
    max_bp: int | None = None
    """Most bases of a sequence that the model sees; longer ones are cut and counted. Default: 150; for
    `aam train --pretrained-encoder`, as in that."""

    def __post_init__(self) -> None:
        _require(
            self.rarefy_depth is None or self.rarefy_depth >= 0,
            f"--rarefy-depth {self.rarefy_depth}: must be 0 (off) or more",
        )
        _require(self.token_limit >= 1, f"--token-limit {self.token_limit}: must be 1 or more")
        _require(self.max_bp is None or 1 <= self.max_bp <= 4096, f"--max-bp {self.max_bp}: must be between 1 and 4096")


@dataclass(frozen=True)
class SplitOptions:
    """Which samples train, which stop the training, which are held out."""

    group_column: Common[str | None] = None
    """Metadata column (host, study) whose samples stay on one side of every split."""
    test_size: float = 0.2
    """Share of the samples held out and reported."""
    val_size: float = 0.1
    """Share of the samples that early stopping and the best checkpoint are judged on."""
    train_samples: Path | None = None
    """File of sample ids, one a line, to train on; needs --val-samples."""
    val_samples: Path | None = None
    """File of sample ids, one a line, to validate on; needs --train-samples."""
    test_samples: Path | None = None
    """File of sample ids, one a line, to hold out; default: none when --train-samples is given."""

    def __post_init__(self) -> None:
        for flag, value in (("--test-size", self.test_size), ("--val-size", self.val_size)):
            _require(0 <= value < 1, f"{flag} {value}: must be at least 0 and below 1")
        _require(
            self.test_size + self.val_size < 1,
            f"--test-size {self.test_size} and --val-size {self.val_size}: no sample is left to train on",
        )
        _require(
            (self.train_samples is None) == (self.val_samples is None),
            "--train-samples and --val-samples go together: give both or neither",
        )
        _require(
            self.test_samples is None or self.train_samples is not None,
            "--test-samples needs --train-samples and --val-samples",
        )


@dataclass(frozen=True)
class TargetOptions:
    """What is predicted."""

    metadata_column: Common[tuple[str, ...]]
    """The metadata column to predict; may be repeated for several numeric targets."""
    classifier: Common[bool] = False
    """Predict classes instead of numbers."""
    target_transform: Literal["none", "minmax", "zscore"] = "minmax"
    """Scale of numeric targets inside the model, fitted on training samples; predictions are in the column's units."""

    def __post_init__(self) -> None:
        _require(len(self.metadata_column) > 0, "--metadata-column: name the column to predict")
        _require(
            len(set(self.metadata_column)) == len(self.metadata_column),
            f"--metadata-column: given twice: {', '.join(self.metadata_column)}",
        )
        _require(
            not (self.classifier and len(self.metadata_column) > 1),
            "--classifier takes one --metadata-column; train one model per class column",
        )


@dataclass(frozen=True)
class SimulateOptions:
    """A study with known truth."""

    samples: Common[int] = 160
    """Samples."""
    asvs: Common[int] = 400
    """ASVs on the tree."""
    hosts: int = 40
    """Hosts; the samples are spread over them evenly."""
    bases: int = 100
    """Length of the sequences."""
    depth: int = 5000
    """Median reads per sample."""
    effect: float = 1.0
    """Strength of the environment's effect on clades; 0 makes the target unpredictable."""
    seed: int = 42
    """Random seed."""

    def __post_init__(self) -> None:
        _require(self.samples >= 4, f"--samples {self.samples}: must be 4 or more")
        _require(self.asvs >= 8, f"--asvs {self.asvs}: must be 8 or more")
        _require(2 <= self.hosts <= self.samples, f"--hosts {self.hosts}: must be between 2 and --samples")
        _require(30 <= self.bases <= 2000, f"--bases {self.bases}: must be between 30 and 2000")
        _require(self.depth >= 1, f"--depth {self.depth}: must be 1 or more")
        _require(0 <= self.effect <= 100, f"--effect {self.effect}: must be between 0 and 100")
        _require(0 <= self.seed < 2**63, f"--seed {self.seed}: must be between 0 and 2^63 - 1")


@dataclass(frozen=True)
class UnifracOptions:
    """A whole matrix of distances, or Faith's PD of every sample."""

    tree: Common[Path]
    """Rooted tree with the ASVs as tips: newick (.nwk, .tree, .gz) or Phylogeny[Rooted] .qza."""
    output: Common[Path]
    """Where to write: .h5 (ssu layout), .tsv (QIIME 2 distance matrix) or .npy (ids beside it); .tsv for faith_pd."""
    unifrac_metric: Literal["unifrac", "faith_pd"] = "unifrac"
    """Unweighted UniFrac of all pairs, or Faith's PD."""
    missing_tips: Literal["error", "ignore"] = "error"
    """ASVs that are not in the tree are left out; `error` refuses the tree when they hold more than 5 % of all reads,
    `ignore` accepts any share."""
    rarefy_depth: int = 0
    """Reads drawn per sample without replacement before measuring; 0 = off."""
    seed: int = 42
    """Random seed of the rarefaction."""

    def __post_init__(self) -> None:
        _require(self.rarefy_depth >= 0, f"--rarefy-depth {self.rarefy_depth}: must be 0 (off) or more")
        _require(0 <= self.seed < 2**63, f"--seed {self.seed}: must be between 0 and 2^63 - 1")
