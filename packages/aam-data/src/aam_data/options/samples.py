"""Options of samples: model input, and splits into training, validation and test samples. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from aam_data.options.alias import Alias
from aam_data.options.base import Common, require
from aam_data.options.input_path import InputFile, InputPath


@dataclass(frozen=True)
class SampleOptions:
    """Model input of a sample."""

    rarefy_depth: Common[int | None] = None
    """Reads drawn per sample without replacement, redrawn every epoch (once with --unifrac-matrix); 0 = off.
    Default: 5000; 0 with --unifrac-matrix or --relative-abundance; with `aam train --pretrained-encoder`, the depth
    of the encoder's run."""
    max_asvs: Annotated[int, Alias("token_limit")] = 1024
    """Most ASVs of a sample that the model sees; --asv-sampling chooses which ones."""
    asv_sampling: Literal["abundance", "first", "random"] = "abundance"
    """ASVs kept within --max-asvs: the most abundant, the first in the file, or random ones, redrawn every epoch."""
    max_bp: int | None = None
    """Most bases of a sequence that the model sees; longer sequences are cut and counted. Default: 150; with
    `aam train --pretrained-encoder`, that of the encoder; for a probe without one, the longest, up to 512."""

    def __post_init__(self) -> None:
        require(
            self.rarefy_depth is None or self.rarefy_depth >= 0,
            f"--rarefy-depth {self.rarefy_depth}: must be 0 (off) or more",
        )
        require(self.max_asvs >= 1, f"--max-asvs {self.max_asvs}: must be 1 or more")
        require(self.max_bp is None or 1 <= self.max_bp <= 4096, f"--max-bp {self.max_bp}: must be between 1 and 4096")


@dataclass(frozen=True)
class SplitOptions:
    """Split into samples for training, for early stopping, and held out."""

    group_column: Common[str | None] = None
    """Metadata column (host, study) whose samples stay on one side of every split."""
    stratify_column: str | None = None
    """Metadata column whose values have the same proportions in every part of the split (numbers: by quartiles), in
    addition to the target, which is always balanced."""
    test_size: float = 0.2
    """Share of the samples to hold out and report on."""
    val_size: float = 0.1
    """Share of the samples that decide early stopping and the best checkpoint."""
    splits_from: InputPath[Path | None] = None
    """Run folder (or its splits.tsv) whose training, validation and held-out samples to use again; samples that it
    does not list are left out and counted."""
    train_samples: InputFile[Path | None] = None
    """File of sample ids, one per line, to train on; needs --val-samples."""
    val_samples: InputFile[Path | None] = None
    """File of sample ids, one per line, to validate on; needs --train-samples."""
    test_samples: InputFile[Path | None] = None
    """File of sample ids, one per line, to hold out. Default: none with --train-samples."""

    def __post_init__(self) -> None:
        for flag, value in (("--test-size", self.test_size), ("--val-size", self.val_size)):
            require(0 <= value < 1, f"{flag} {value}: must be at least 0 and below 1")
        require(
            self.test_size + self.val_size < 1,
            f"--test-size {self.test_size} and --val-size {self.val_size} leave no sample to train on",
        )
        require(
            (self.train_samples is None) == (self.val_samples is None),
            "--train-samples and --val-samples go together; pass both or neither",
        )
        require(
            self.stratify_column is None or self.train_samples is None,
            "--stratify-column and --train-samples cannot be combined; use one of them",
        )
        for flag, is_given in (
            ("--train-samples", self.train_samples is not None),
            ("--stratify-column", self.stratify_column is not None),
        ):
            require(
                self.splits_from is None or not is_given,
                f"--splits-from and {flag} cannot be combined; use one of them",
            )
        require(
            self.test_samples is None or self.train_samples is not None,
            "--test-samples needs --train-samples and --val-samples",
        )
