"""Options of what a run learns. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from aam_data.options.alias import Alias
from aam_data.options.base import require
from aam_train.options.losses import (
    QUANTILES,
    LossSettings,
    check_class_weights,
    check_quantiles,
    is_inline,
    loss_settings,
)
from aam_train.options.validate import not_negative, positive, share

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


_CALIBRATION = 0.2


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

    unifrac_weight: Annotated[float, Alias("penalty")] = 1.0
    """Weight of the phylogenetic loss, see --unifrac-metric."""
    masked_base_weight: Annotated[float, Alias("nuc_penalty")] = 1.0
    """Weight of predicting masked bases."""
    masked_count_weight: Annotated[float, Alias("count_penalty")] = 1.0
    """Weight of predicting hidden abundances."""
    taxonomy_weight: Annotated[float | None, Alias("taxonomy_penalty")] = None
    """Weight of predicting the taxon of each ASV at every rank. Default: 1 with --taxonomy, else 0."""
    best_metric: EncoderMetric = "val_loss"
    """Validation metric that decides which checkpoint is best and when to stop."""

    def __post_init__(self) -> None:
        for flag, value in (
            ("--unifrac-weight", self.unifrac_weight),
            ("--masked-base-weight", self.masked_base_weight),
            ("--masked-count-weight", self.masked_count_weight),
            ("--taxonomy-weight", self.taxonomy_weight or 0.0),
        ):
            not_negative(flag, value)


def _is_centred(quantiles: Sequence[float]) -> bool:
    """Whether the median has as many quantiles below it as above; losses of one output have nothing to move."""
    return len(quantiles) < 2 or (len(quantiles) % 2 == 1 and quantiles[len(quantiles) // 2] == 0.5)


@dataclass(frozen=True)
class TrainObjective:
    """What fine-tuning learns."""

    loss_type: Literal["mse", "mae", "huber", "quantile", "asymmetric"] = "huber"
    """Loss of numeric targets, on residuals in standard deviations of the training targets: mse, mae, huber, quantile
    (predicts --quantiles), or asymmetric (too high and too low cost differently)."""
    huber_delta: float | None = None
    """Residual at which huber bends from squares to lines, in units of --target-transform. Default: the standard
    deviation of the training targets, which are the residuals of a constant."""
    quantiles: tuple[float, ...] = QUANTILES
    """quantile: what is predicted, ascending, with 0.5, which is the prediction; the outermost are its interval."""
    over_penalty: float = 1.0
    """asymmetric: cost of a prediction that is too high, by how much."""
    under_penalty: float = 1.0
    """asymmetric: cost of a prediction that is too low. Both 1 is mae."""
    loss_config: str | None = None
    """Losses of single targets, by column or its number from 0: JSON such as `{"age": "mae", "bmi": {"type":
    "quantile", "quantiles": [0.05, 0.5, 0.95]}}`, or a file with it. The others have --loss-type."""
    class_weights: str | None = None
    """Weights of classes in the loss: `auto` (inverse frequency), or a list in the order of the labels, or
    `name:weight,...`."""
    conformal: bool = False
    """quantile: calibrate intervals on training samples set apart, so that they hold the truth as often as they say."""
    calibration_size: float = _CALIBRATION
    """conformal: share of the training samples (whole groups of --group-column) that is set apart."""
    target_weight: Annotated[float, Alias("target_penalty")] = 1.0
    """Weight of the target's loss."""
    unifrac_weight: Annotated[float | None, Alias("penalty")] = None
    """Weight of the phylogenetic loss, see --unifrac-metric. Default: 1 with --tree or --unifrac-matrix, else 0."""
    masked_base_weight: Annotated[float, Alias("nuc_penalty")] = 0.0
    """Weight of predicting masked bases."""
    masked_count_weight: Annotated[float, Alias("count_penalty")] = 0.0
    """Weight of predicting hidden abundances."""
    count_prediction: bool = True
    """Whether hidden abundances are predicted at all; --no-count-prediction is --masked-count-weight 0."""

    def __post_init__(self) -> None:
        positive("--target-weight", self.target_weight)
        not_negative("--unifrac-weight", self.unifrac_weight or 0.0)
        not_negative("--masked-base-weight", self.masked_base_weight)
        not_negative("--masked-count-weight", self.masked_count_weight)
        if self.huber_delta is not None:
            positive("--huber-delta", self.huber_delta)
        check_quantiles("--quantiles", self.quantiles)
        positive("--over-penalty", self.over_penalty)
        positive("--under-penalty", self.under_penalty)
        share("--calibration-size", self.calibration_size)
        if self.class_weights is not None:
            check_class_weights(self.class_weights)
        if self.loss_config is None:
            self.losses(("any",))

    def losses(self, columns: Sequence[str]) -> tuple[LossSettings, ...]:
        """The loss of each numeric target; reads --loss-config where it is a file.

        Raises:
            ValueError: what is asked for contradicts itself or the columns.
        """
        usual = LossSettings(self.loss_type, self.quantiles, self.huber_delta, self.over_penalty, self.under_penalty)
        given = {
            "--quantiles": self.quantiles != QUANTILES,
            "--huber-delta": self.huber_delta is not None,
            "--over-penalty": self.over_penalty != 1,
            "--under-penalty": self.under_penalty != 1,
        }
        found = loss_settings(columns, usual, self.loss_config, given)
        require(
            not self.conformal or any(len(settings.outputs()) > 1 for settings in found),
            "--conformal is about intervals: give --loss-type quantile and --quantiles with more than 0.5",
        )
        off_centre = [settings.outputs() for settings in found if not _is_centred(settings.outputs())]
        require(
            not (self.conformal and off_centre),
            f"--conformal moves both ends of an interval and never the median: --quantiles "
            f"{','.join(f'{q:g}' for q in (off_centre or [()])[0])} have to hold as many below 0.5 as above it",
        )
        require(
            self.conformal or self.calibration_size == _CALIBRATION,
            "--calibration-size belongs to --conformal: give both or neither",
        )
        return found

    def loss_file(self) -> Path | None:
        """The file of --loss-config, where it is one."""
        return None if self.losses_are_known() else Path(self.loss_config or "")

    def losses_are_known(self) -> bool:
        """Whether no file has to be read to know the losses."""
        return self.loss_config is None or is_inline(self.loss_config)

    def given(self) -> list[str]:
        """The flags about the losses of numbers that are not as by default."""
        flags = {
            f"--loss-type {self.loss_type}": self.loss_type != "huber",
            "--loss-config": self.loss_config is not None,
            "--huber-delta": self.huber_delta is not None,
            "--conformal": self.conformal,
        }
        return [flag for flag, is_given in flags.items() if is_given]

    def count_weight(self) -> float:
        """Weight of predicting hidden abundances, with both options considered."""
        return self.masked_count_weight if self.count_prediction else 0.0
