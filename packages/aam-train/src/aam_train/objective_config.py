"""Options of what a run learns. Standard library only; see aam_data.config for how an option is declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam_train.ranges import not_negative, positive, require, share

EncoderMetric = Literal[
    "val_loss",
    "unifrac_r",
    "unifrac_mae",
    "faith_pd_r",
    "faith_pd_mae",
    "nucleotide_accuracy",
    "count_mse",
    "taxonomy_accuracy",
]


@dataclass(frozen=True)
class MaskingOptions:
    """What is hidden from the model, to be predicted."""

    nuc_mask_ratio: float = 0.15
    """Share of the bases of each ASV that is masked."""
    nuc_mask_strategy: Literal["random", "span"] = "random"
    """Which bases: each by itself, or runs of neighbours (3 bases on average, 10 at most)."""
    count_mask_ratio: float = 0.15
    """Share of the ASVs of a sample whose abundance is hidden and predicted."""

    def __post_init__(self) -> None:
        share("--nuc-mask-ratio", self.nuc_mask_ratio)
        share("--count-mask-ratio", self.count_mask_ratio)


@dataclass(frozen=True)
class PretrainObjective:
    """What pretraining learns; a weight of 0 switches the work off."""

    penalty: float = 1.0
    """Weight of the phylogenetic loss, see --unifrac-metric."""
    nuc_penalty: float = 1.0
    """Weight of predicting masked bases."""
    count_penalty: float = 1.0
    """Weight of predicting hidden abundances."""
    taxonomy_penalty: float | None = None
    """Weight of predicting the taxon of each ASV at every rank. Default: 1 with --taxonomy, else 0."""
    best_metric: EncoderMetric = "val_loss"
    """Validation metric that decides which checkpoint is best and when to stop."""

    def __post_init__(self) -> None:
        for flag, value in (
            ("--penalty", self.penalty),
            ("--nuc-penalty", self.nuc_penalty),
            ("--count-penalty", self.count_penalty),
            ("--taxonomy-penalty", self.taxonomy_penalty or 0.0),
        ):
            not_negative(flag, value)


@dataclass(frozen=True)
class TrainObjective:
    """What fine-tuning learns."""

    loss_type: Literal["mse", "mae", "huber"] = "huber"
    """Loss of numeric targets, on residuals in standard deviations of the training targets."""
    huber_delta: float | None = None
    """Residual at which huber bends from squares to lines, in units of --target-transform. Default: the standard
    deviation of the training targets, which are the residuals of a constant."""
    target_penalty: float = 1.0
    """Weight of the target's loss."""
    penalty: float | None = None
    """Weight of the phylogenetic loss, see --unifrac-metric. Default: 1 with --tree or --unifrac-matrix, else 0."""
    nuc_penalty: float = 0.0
    """Weight of predicting masked bases."""
    count_penalty: float = 0.0
    """Weight of predicting hidden abundances."""
    count_prediction: bool = True
    """Whether hidden abundances are predicted at all; --no-count-prediction is --count-penalty 0."""

    def __post_init__(self) -> None:
        positive("--target-penalty", self.target_penalty)
        not_negative("--penalty", self.penalty or 0.0)
        not_negative("--nuc-penalty", self.nuc_penalty)
        not_negative("--count-penalty", self.count_penalty)
        if self.huber_delta is not None:
            positive("--huber-delta", self.huber_delta)
            require(self.loss_type == "huber", f"--huber-delta belongs to --loss-type huber, not to {self.loss_type}")

    def count_weight(self) -> float:
        """Weight of predicting hidden abundances, with both options considered."""
        return self.count_penalty if self.count_prediction else 0.0
