"""Options of the objectives. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from aam_data.options.alias import Alias
from aam_data.options.base import PhylogeneticTarget, require
from aam_data.options.input_path import ReadsPath
from aam_train.options.losses import (
    LOSSES,
    QUANTILES,
    LossSettings,
    LossType,
    check_class_weights,
    check_quantiles,
    is_inline,
    loss_settings,
)
from aam_train.options.metrics import EncoderMetric
from aam_train.options.validate import not_negative, positive, share

_CALIBRATION_SIZE = 0.2
_LOSS_FILE = ReadsPath("file", lambda value: not is_inline(value))


@dataclass(frozen=True)
class MaskingOptions:
    """Bases and abundances that are hidden from the model, to be predicted."""

    nuc_mask_ratio: float = 0.15
    """Share of the bases of each ASV that is masked."""
    nuc_mask_strategy: Literal["random", "span"] = "random"
    """Mask single bases, or spans of neighbours (3 bases on average, at most 10)."""
    count_mask_ratio: float = 0.15
    """Share of the ASVs of a sample whose abundance is hidden and predicted."""

    def __post_init__(self) -> None:
        share("--nuc-mask-ratio", self.nuc_mask_ratio)
        share("--count-mask-ratio", self.count_mask_ratio)


@dataclass(frozen=True)
class PretrainObjective:
    """Weights of the pretraining objectives; an objective with weight 0 is not computed."""

    unifrac_weight: Annotated[float, Alias("penalty")] = 1.0
    """Weight of the phylogenetic loss, see --unifrac-metric."""
    masked_base_weight: Annotated[float, Alias("nuc_penalty")] = 1.0
    """Weight of predicting masked bases."""
    masked_count_weight: Annotated[float, Alias("count_penalty")] = 1.0
    """Weight of predicting hidden abundances."""
    taxonomy_weight: Annotated[float | None, Alias("taxonomy_penalty")] = None
    """Weight of predicting the taxon of each ASV at every rank. Default: 1 with --taxonomy, else 0."""
    best_metric: EncoderMetric = "val_loss"
    """Validation metric that selects the best checkpoint and decides when to stop."""

    def __post_init__(self) -> None:
        for flag, value in (
            ("--unifrac-weight", self.unifrac_weight),
            ("--masked-base-weight", self.masked_base_weight),
            ("--masked-count-weight", self.masked_count_weight),
            ("--taxonomy-weight", self.taxonomy_weight or 0.0),
        ):
            not_negative(flag, value)

    def weights(self, metric: PhylogeneticTarget, *, has_taxonomy: bool) -> dict[str, float]:
        """Return the weight of each objective by its name.

        Args:
            metric: as `--unifrac-metric`.
            has_taxonomy: whether there is a taxonomy, which is then learned by default.
        """
        taxonomy = float(has_taxonomy) if self.taxonomy_weight is None else self.taxonomy_weight
        return {
            **phylogenetic_weights(metric, self.unifrac_weight),
            "nucleotides": self.masked_base_weight,
            "counts": self.masked_count_weight,
            "taxonomy": taxonomy,
        }


def phylogenetic_weights(metric: PhylogeneticTarget, weight: float) -> dict[str, float]:
    """Return the weights of distances and of Faith's PD: of one of them, or of both."""
    return {
        "unifrac": 0.0 if metric == "faith_pd" else weight,
        "faith_pd": weight if metric in ("faith_pd", "combined") else 0.0,
    }


def _is_centred(quantiles: Sequence[float]) -> bool:
    """Return whether there are as many quantiles below the median as above it; true without quantiles."""
    return len(quantiles) < 2 or (len(quantiles) % 2 == 1 and quantiles[len(quantiles) // 2] == 0.5)


@dataclass(frozen=True)
class TrainObjective:
    """Objectives of fine-tuning."""

    loss_type: LossType = "huber"
    """Loss of numeric targets, on residuals in standard deviations of the training targets. quantile predicts
    --quantiles; asymmetric has different costs for predictions that are too high and too low."""
    huber_delta: float | None = None
    """huber: residual at which the loss changes from quadratic to linear, in units of --target-transform. Default: the
    standard deviation of the training targets."""
    quantiles: tuple[float, ...] = QUANTILES
    """quantile: quantiles to predict, ascending and including 0.5 (the prediction); the outermost are its interval."""
    over_penalty: float = 1.0
    """asymmetric: cost per unit of a prediction that is too high."""
    under_penalty: float = 1.0
    """asymmetric: cost per unit of a prediction that is too low. If both are 1, the loss is mae."""
    loss_config: Annotated[str | None, _LOSS_FILE] = None
    """Losses of single targets, by column or its number from 0: JSON such as `{"age": "mae", "bmi": {"type":
    "quantile", "quantiles": [0.05, 0.5, 0.95]}}`, or a JSON file. Other targets use --loss-type."""
    class_weights: str | None = None
    """Weights of classes in the loss: `auto` (inverse frequency), a list in the order of the labels, or
    `name:weight,...`."""
    conformal: bool = False
    """quantile: calibrate intervals on training samples set apart, so that they reach their nominal coverage."""
    calibration_size: float = _CALIBRATION_SIZE
    """conformal: share of the training samples (in whole groups of --group-column) that is set apart."""
    target_weight: Annotated[float, Alias("target_penalty")] = 1.0
    """Weight of the target's loss."""
    unifrac_weight: Annotated[float | None, Alias("penalty")] = None
    """Weight of the phylogenetic loss, see --unifrac-metric. Default: 1 with --tree or --unifrac-matrix, else 0."""
    masked_base_weight: Annotated[float, Alias("nuc_penalty")] = 0.0
    """Weight of predicting masked bases."""
    masked_count_weight: Annotated[float, Alias("count_penalty")] = 0.0
    """Weight of predicting hidden abundances."""
    count_prediction: bool = True
    """Predict hidden abundances; --no-count-prediction is the same as --masked-count-weight 0."""

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
        """Return the loss settings of each numeric target; read --loss-config if it is a file.

        Raises:
            ValueError: options that contradict each other or the columns.
        """
        options = {name: getattr(self, name) for kind in LOSSES.values() for name in kind.options}
        unset = LossSettings()
        given = {f"--{name.replace('_', '-')}": value != getattr(unset, name) for name, value in options.items()}
        settings = loss_settings(columns, LossSettings(self.loss_type, **options), self.loss_config, given)
        require(
            not self.conformal or any(len(each.outputs()) > 1 for each in settings),
            "--conformal needs intervals: use --loss-type quantile and --quantiles with more than 0.5",
        )
        off_centre = [each.outputs() for each in settings if not _is_centred(each.outputs())]
        require(
            not (self.conformal and off_centre),
            f"--conformal moves both ends of an interval and not the median: --quantiles "
            f"{','.join(f'{q:g}' for q in (off_centre or [()])[0])} must have as many values below 0.5 as above it",
        )
        require(
            self.conformal or self.calibration_size == _CALIBRATION_SIZE,
            "--calibration-size only applies with --conformal; use both or neither",
        )
        return settings

    def loss_file(self) -> Path | None:
        """Return the file of --loss-config; None if it is not a file."""
        return None if self.losses_are_known() else Path(self.loss_config or "")

    def losses_are_known(self) -> bool:
        """Return whether the losses are known without reading a file."""
        return self.loss_config is None or is_inline(self.loss_config)

    def given(self) -> list[str]:
        """Return the flags about losses of numbers whose values are not the defaults."""
        flags = {
            f"--loss-type {self.loss_type}": self.loss_type != "huber",
            "--loss-config": self.loss_config is not None,
            "--huber-delta": self.huber_delta is not None,
            "--conformal": self.conformal,
        }
        return [flag for flag, is_given in flags.items() if is_given]

    def count_weight(self) -> float:
        """Return the weight of predicting hidden abundances; 0 with --no-count-prediction."""
        return self.masked_count_weight if self.count_prediction else 0.0
