"""Options of what a run learns. Standard library only; see aam_data.config for how an option is declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam_train.ranges import not_negative, positive, require, share


@dataclass(frozen=True)
class PretrainObjective:
    """What pretraining learns; a weight of 0 switches the work off."""

    unifrac_metric: Literal["unifrac", "faith_pd", "combined"] = "unifrac"
    """Phylogenetic target: unweighted UniFrac of pairs, Faith's PD of samples, or both."""
    penalty: float = 1.0
    """Weight of the phylogenetic loss."""
    nuc_penalty: float = 1.0
    """Weight of predicting masked bases."""
    count_penalty: float = 1.0
    """Weight of predicting hidden abundances."""
    nuc_mask_ratio: float = 0.15
    """Share of the bases of each ASV that is masked."""
    count_mask_ratio: float = 0.15
    """Share of the ASVs of a sample whose abundance is hidden and predicted."""

    def __post_init__(self) -> None:
        for flag, value in (
            ("--penalty", self.penalty),
            ("--nuc-penalty", self.nuc_penalty),
            ("--count-penalty", self.count_penalty),
        ):
            not_negative(flag, value)
        share("--nuc-mask-ratio", self.nuc_mask_ratio)
        share("--count-mask-ratio", self.count_mask_ratio)
        require(
            self.penalty + self.nuc_penalty + self.count_penalty > 0,
            "--penalty, --nuc-penalty and --count-penalty are all 0: nothing is left to learn",
        )


@dataclass(frozen=True)
class TrainObjective:
    """What fine-tuning learns."""

    loss_type: Literal["mse", "mae", "huber"] = "huber"
    """Loss of numeric targets, on residuals in standard deviations of the training targets (huber bends at 1)."""
    target_penalty: float = 1.0
    """Weight of the target's loss."""
    penalty: float | None = None
    """Weight of unweighted UniFrac as a second objective. Default: 1 with --tree or --unifrac-matrix, else 0."""

    def __post_init__(self) -> None:
        positive("--target-penalty", self.target_penalty)
        if self.penalty is not None:
            not_negative("--penalty", self.penalty)
