"""Options about files, samples and targets. Standard library only, so that ``--help`` is instant.

Each field is one command line option: its name, type and default stand here, its help text is the docstring under it.
``Common`` marks the options that ``--help`` shows; the others appear under ``--help-all``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from aam_data.options.alias import Alias
from aam_data.options.targets import TargetScale, target_scale

_T = TypeVar("_T")
Common = Annotated[_T, "common"]
UnifracMetric = Literal["unifrac", "weighted", "weighted_unnormalized", "generalized"]
TransformKind = Literal["none", "minmax", "zscore", "zscore-category", "log-minmax", "log-zscore"]
PhylogeneticTarget = Literal[UnifracMetric, "faith_pd", "combined"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _check_alpha(alpha: float, metric: str) -> None:
    _require(0 <= alpha <= 1, f"--unifrac-alpha {alpha:g}: must be between 0 and 1")
    _require(
        alpha == 1 or metric == "generalized", f"--unifrac-alpha is for --unifrac-metric generalized, not {metric}"
    )


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
        _require(self.trim_length >= 0, f"--trim-length {self.trim_length}: must be 0 or more")
        _require(self.max_input_gb > 0, f"--max-input-gb {self.max_input_gb}: must be above 0")

    def check_depth(self, rarefy_depth: int | None) -> None:
        """Refuse to draw reads of what are not reads."""
        _require(
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
        _require(
            self.tree is None or self.unifrac_matrix is None,
            "--tree and --unifrac-matrix exclude each other: give the one that the targets should come from",
        )
        _check_alpha(self.unifrac_alpha, self.unifrac_metric)
        _require(
            self.unifrac_matrix is None or self.unifrac_metric not in ("faith_pd", "combined"),
            f"--unifrac-metric {self.unifrac_metric} needs --tree: a distance matrix has no Faith PD",
        )
        _require(
            self.matrix_ids is None or self.unifrac_matrix is not None,
            "--matrix-ids names the rows of a .npy --unifrac-matrix: give both",
        )
        _require(
            self.matrix_index is None or (self.matrix_index >= 0 and self.unifrac_matrix is not None),
            f"--matrix-index {self.matrix_index}: must be 0 or more, beside --unifrac-matrix",
        )
        _require(
            not self.clip_negative_lengths or self.tree is not None,
            "--clip-negative-lengths is about branches: give it with --tree",
        )


@dataclass(frozen=True)
class TaxonomyOptions:
    """Taxonomy of the ASVs."""

    taxonomy: Path | None = None
    """Taxonomy of the features to learn from: `Feature ID, Taxon` as QIIME 2 writes it (.tsv, .gz), .csv or
    FeatureData[Taxonomy] .qza."""


@dataclass(frozen=True)
class SampleOptions:
    """How a sample becomes model input."""

    rarefy_depth: Common[int | None] = None
    """Reads drawn per sample without replacement, anew every epoch (once with --unifrac-matrix); 0 = off.
    Default: 5000; 0 with --unifrac-matrix or --relative-abundance; for `aam train --pretrained-encoder`, as in that."""
    max_asvs: Annotated[int, Alias("token_limit")] = 1024
    """Most ASVs of a sample that the model sees; which are kept, --asv-sampling says."""
    asv_sampling: Literal["abundance", "first", "random"] = "abundance"
    """ASVs kept within --max-asvs: the most abundant, the first in the file, or random ones, redrawn every epoch."""
    max_bp: int | None = None
    """Most bases of a sequence that the model sees; longer ones are cut and counted. Default: 150; for
    `aam train --pretrained-encoder`, as in that."""

    def __post_init__(self) -> None:
        _require(
            self.rarefy_depth is None or self.rarefy_depth >= 0,
            f"--rarefy-depth {self.rarefy_depth}: must be 0 (off) or more",
        )
        _require(self.max_asvs >= 1, f"--max-asvs {self.max_asvs}: must be 1 or more")
        _require(self.max_bp is None or 1 <= self.max_bp <= 4096, f"--max-bp {self.max_bp}: must be between 1 and 4096")


@dataclass(frozen=True)
class SplitOptions:
    """Which samples train, which stop the training, which are held out."""

    group_column: Common[str | None] = None
    """Metadata column (host, study) whose samples stay on one side of every split."""
    stratify_column: str | None = None
    """Metadata column whose values every part holds in the same proportions (numbers: by quartiles), besides those of
    the target, which are always balanced."""
    test_size: float = 0.2
    """Share of the samples held out and reported."""
    val_size: float = 0.1
    """Share of the samples that early stopping and the best checkpoint are judged on."""
    splits_from: Path | None = None
    """Run folder (or its splits.tsv) whose training, validation and held-out samples are used again; samples that it
    does not know are left out with a count."""
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
            self.stratify_column is None or self.train_samples is None,
            "--stratify-column is about splits that AAM makes: leave it out beside --train-samples",
        )
        for flag, is_given in (
            ("--train-samples", self.train_samples is not None),
            ("--stratify-column", self.stratify_column is not None),
        ):
            _require(
                self.splits_from is None or not is_given,
                f"--splits-from and {flag} exclude each other: the samples are those of the other run",
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
    target_transform: TransformKind | None = None
    """Scale of numeric targets inside the model, fitted on training samples; predictions are in the column's units.
    The log- ones take log(1 + value) first. Default: minmax, or zscore-category with --normalize-by."""
    normalize_by: tuple[str, ...] = ()
    """Metadata columns, as in `location,season`: fit the scale within each combination of their values, or on all
    samples where fewer than 10 train. Prediction needs these columns too."""
    normalize_targets: bool | None = None
    """Older spelling of --target-transform minmax, and with --no- of none."""
    normalize_targets_by: tuple[str, ...] = ()
    """Older spelling of --normalize-by."""
    log_transform_targets: bool = False
    """Older spelling of --target-transform log-minmax, and beside --normalize-by of log-zscore."""
    out_dim: int | None = None
    """Outputs of the model, to be held against the data: classes, or numbers (times quantiles). Default: what they
    say."""

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
        _require(self.out_dim is None or self.out_dim >= 1, f"--out-dim {self.out_dim}: must be 1 or more")
        scaled = self.target_transform or self.normalize_by or self.older_spellings()
        _require(
            not (self.classifier and scaled),
            "--classifier predicts classes, which have no scale: leave out --target-transform and --normalize-by",
        )
        self.scale()

    def scale(self) -> TargetScale:
        """The scale that the options ask for, in whichever spelling."""
        return target_scale(
            self.target_transform,
            self.normalize_by,
            self.normalize_targets,
            self.normalize_targets_by,
            self.log_transform_targets,
        )

    def older_spellings(self) -> list[str]:
        """The options given in an older spelling."""
        given = {
            "--normalize-targets": self.normalize_targets is True,
            "--no-normalize-targets": self.normalize_targets is False,
            "--normalize-targets-by": bool(self.normalize_targets_by),
            "--log-transform-targets": self.log_transform_targets,
        }
        return [flag for flag, is_given in given.items() if is_given]


@dataclass(frozen=True)
class UnifracOptions:
    """A whole matrix of distances, or Faith's PD of every sample."""

    tree: Common[Path]
    """Rooted tree with the ASVs as tips: newick (.nwk, .newick, .tre, .tree, .gz) or Phylogeny[Rooted] .qza."""
    output: Common[Path]
    """Where to write: .h5 (ssu layout), .tsv (QIIME 2 distance matrix) or .npy (ids beside it); .tsv for faith_pd."""
    unifrac_metric: Common[Literal[UnifracMetric, "faith_pd"]] = "unifrac"
    """UniFrac of all pairs: `unifrac` is unweighted, `weighted` is divided by its largest possible value (1 = nothing
    shared), `weighted_unnormalized` is not (QIIME 2's weighted_unifrac), `generalized` takes --unifrac-alpha; or
    `faith_pd`, Faith's PD of every sample."""
    unifrac_alpha: float = 1.0
    """Weight of abundant branches in generalized UniFrac, 0 to 1; 1 is `weighted`."""
    missing_tips: Literal["error", "ignore"] = "error"
    """ASVs that are not in the tree are left out; `error` refuses the tree when they hold more than 5 % of all reads,
    `ignore` accepts any share."""
    clip_negative_lengths: bool = False
    """Read negative branch lengths, which some methods estimate, as 0, with a printed count; refused otherwise."""
    rarefy_depth: int = 0
    """Reads drawn per sample without replacement before measuring; 0 = off."""
    seed: int = 42
    """Random seed of the rarefaction."""
    overwrite: bool = False
    """Write over an --output that exists, and over the files beside it."""

    def __post_init__(self) -> None:
        _check_alpha(self.unifrac_alpha, self.unifrac_metric)
        _require(self.rarefy_depth >= 0, f"--rarefy-depth {self.rarefy_depth}: must be 0 (off) or more")
        _require(0 <= self.seed < 2**63, f"--seed {self.seed}: must be between 0 and 2^63 - 1")


@dataclass(frozen=True)
class CheckOptions:
    """What to look at closely, and how to tell."""

    metadata_column: Common[tuple[str, ...]] = ()
    """A metadata column to predict; may be repeated for several numeric targets."""
    classifier: Common[bool] = False
    """Check the column as classes instead of numbers."""
    target_transform: TransformKind | None = None
    """Scale of numeric targets that `aam train` would be given."""
    normalize_by: tuple[str, ...] = ()
    """Metadata columns within whose combinations of values the scale would be fitted."""
    cv: int = 0
    """Folds that `aam train` would make; 0 = one split."""
    seed: int = 42
    """Random seed of the splits."""
    json: Common[bool] = False
    """Print JSON on standard output instead of text."""

    def target(self) -> TargetOptions | None:
        """The target to check, if any; raises ValueError as `aam train` would."""
        if not self.metadata_column:
            return None
        return TargetOptions(self.metadata_column, self.classifier, self.target_transform, self.normalize_by)

    def __post_init__(self) -> None:
        _require(self.cv == 0 or 2 <= self.cv <= 100, f"--cv {self.cv}: must be 0 (off) or between 2 and 100")
        _require(0 <= self.seed < 2**63, f"--seed {self.seed}: must be between 0 and 2^63 - 1")
        for flag, is_given in (
            ("--target-transform", self.target_transform is not None),
            ("--normalize-by", bool(self.normalize_by)),
        ):
            _require(not is_given or bool(self.metadata_column), f"{flag} is about a target: give --metadata-column")
        _require(
            not self.classifier or len(self.metadata_column) > 0, "--classifier needs the --metadata-column of classes"
        )
        self.target()
