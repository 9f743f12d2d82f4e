"""Options of `aam unifrac` and `aam check`. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aam_data.options.base import Common, TransformKind, UnifracMetric, check_alpha, require
from aam_data.options.input_path import InputFile
from aam_data.options.targets import TargetOptions


@dataclass(frozen=True)
class UnifracOptions:
    """Distance matrix of all samples, or Faith's PD of every sample."""

    tree: Common[InputFile[Path]]
    """Rooted tree with the ASVs as tips: newick (.nwk, .newick, .tre, .tree, .gz) or Phylogeny[Rooted] .qza."""
    output: Common[Path]
    """Output file: .h5 (ssu layout), .tsv (QIIME 2 distance matrix) or .npy (ids in a second file); .tsv for
    faith_pd."""
    unifrac_metric: Common[Literal[UnifracMetric, "faith_pd"]] = "unifrac"
    """UniFrac of all pairs: `unifrac` is unweighted, `weighted` is normalized by its largest possible value (1 =
    nothing shared), `weighted_unnormalized` is not (QIIME 2's weighted_unifrac), `generalized` uses --unifrac-alpha;
    or `faith_pd`, Faith's PD of every sample."""
    unifrac_alpha: float = 1.0
    """Weight of abundant branches in generalized UniFrac, 0 to 1; 1 is `weighted`."""
    missing_tips: Literal["error", "ignore"] = "error"
    """ASVs that are not in the tree are left out; `error` stops when they hold more than 5 % of all reads, `ignore`
    accepts any share."""
    clip_negative_lengths: bool = False
    """Read negative branch lengths, which some methods estimate, as 0 and report how many; an error otherwise."""
    rarefy_depth: int = 0
    """Reads drawn per sample without replacement before computing distances; 0 = off."""
    seed: int = 42
    """Random seed of the rarefaction."""
    overwrite: bool = False
    """Overwrite an existing --output and the files that belong to it."""

    def __post_init__(self) -> None:
        check_alpha(self.unifrac_alpha, self.unifrac_metric)
        require(self.rarefy_depth >= 0, f"--rarefy-depth {self.rarefy_depth}: must be 0 (off) or more")
        require(0 <= self.seed < 2**63, f"--seed {self.seed}: must be between 0 and 2^63 - 1")


@dataclass(frozen=True)
class CheckOptions:
    """Target to check, and form of the report."""

    metadata_column: Common[tuple[str, ...]] = ()
    """A metadata column to be predicted; may be repeated for several numeric targets."""
    classifier: Common[bool] = False
    """Check the column as classes instead of numbers."""
    target_transform: TransformKind | None = None
    """Scale of numeric targets, as for `aam train`."""
    normalize_by: tuple[str, ...] = ()
    """Metadata columns within whose combinations of values the scale is fitted, as for `aam train`."""
    cv: int = 0
    """Folds of cross-validation, as for `aam train`; 0 = one split."""
    seed: int = 42
    """Random seed of the splits."""
    json: Common[bool] = False
    """Print JSON to standard output instead of text."""

    def target(self) -> TargetOptions | None:
        """Return the target to check, if any. Raises ValueError as `aam train` would."""
        if not self.metadata_column:
            return None
        return TargetOptions(self.metadata_column, self.classifier, self.target_transform, self.normalize_by)

    def __post_init__(self) -> None:
        require(self.cv == 0 or 2 <= self.cv <= 100, f"--cv {self.cv}: must be 0 (off) or between 2 and 100")
        require(0 <= self.seed < 2**63, f"--seed {self.seed}: must be between 0 and 2^63 - 1")
        for flag, is_given in (
            ("--target-transform", self.target_transform is not None),
            ("--normalize-by", bool(self.normalize_by)),
        ):
            require(not is_given or bool(self.metadata_column), f"{flag} needs a target; pass --metadata-column")
        require(
            not self.classifier or len(self.metadata_column) > 0, "--classifier needs the --metadata-column of classes"
        )
        self.target()
