"""Options of the engine. Standard library only; see aam_data.config for how an option is declared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

_T = TypeVar("_T")
Common = Annotated[_T, "common"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _positive(flag: str, value: float) -> None:
    _require(math.isfinite(value) and value > 0, f"{flag} {value}: must be a number above 0")


def _not_negative(flag: str, value: float) -> None:
    _require(math.isfinite(value) and value >= 0, f"{flag} {value}: must be a number of 0 or more")


def _share(flag: str, value: float) -> None:
    _require(0 < value < 1, f"{flag} {value}: must be above 0 and below 1")


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
            _not_negative(flag, value)
        _share("--nuc-mask-ratio", self.nuc_mask_ratio)
        _share("--count-mask-ratio", self.count_mask_ratio)
        _require(
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
        _positive("--target-penalty", self.target_penalty)
        if self.penalty is not None:
            _not_negative("--penalty", self.penalty)


@dataclass(frozen=True)
class TransferOptions:
    """What a predictor starts from."""

    pretrained_encoder: Common[Path | None] = None
    """Model or run folder of `aam pretrain` (or `aam train`) to take the encoder from."""
    freeze_base: Common[bool] = False
    """Train the head alone; embeddings of the frozen encoder are computed once."""
    best_metric: Literal["val_loss", "r2", "mae", "accuracy", "balanced_accuracy", "f1", "auc"] = "val_loss"
    """Validation metric that decides which checkpoint is best and when to stop."""
    cv: int = 0
    """Folds of a cross-validation: one run each in fold-1/, fold-2/, ... and out-of-fold predictions; 0 = one run."""

    def __post_init__(self) -> None:
        _require(
            not self.freeze_base or self.pretrained_encoder is not None,
            "--freeze-base needs --pretrained-encoder: a frozen encoder has to come from somewhere",
        )
        _require(self.cv == 0 or 2 <= self.cv <= 100, f"--cv {self.cv}: must be 0 (off) or between 2 and 100")


@dataclass(frozen=True)
class OptimizerOptions:
    """AdamW, with a linear warm-up and a cosine decay to 0 at the last epoch."""

    lr: Common[float] = 1e-4
    """Peak learning rate."""
    weight_decay: float = 0.01
    """Weight decay of matrices; vectors have none."""
    warmup_steps: int | None = None
    """Steps of linear warm-up. Default: a tenth of the run, at most 10,000."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 = off."""

    def __post_init__(self) -> None:
        _positive("--lr", self.lr)
        _require(self.lr <= 10, f"--lr {self.lr}: must be at most 10")
        _not_negative("--weight-decay", self.weight_decay)
        _not_negative("--max-grad-norm", self.max_grad_norm)
        _require(
            self.warmup_steps is None or self.warmup_steps >= 0,
            f"--warmup-steps {self.warmup_steps}: must be 0 or more",
        )


@dataclass(frozen=True)
class RunOptions:
    """The run itself."""

    output_dir: Common[Path]
    """Folder for the run: checkpoints, metrics, predictions, report."""
    epochs: Common[int] = 100
    """Passes over the training samples."""
    batch_size: Common[int] = 32
    """Samples per step."""
    patience: int = 10
    """Epochs without a better validation metric before the run stops; 0 = never."""
    seed: Common[int] = 42
    """Random seed of splits, rarefaction, masks, weights and order."""
    device: Common[str] = "auto"
    """auto, cpu, cuda or cuda:N (ROCm devices are cuda too)."""
    num_workers: int | None = None
    """Processes that prepare batches. Default: 4, fewer on a small machine, 0 when the CPU also runs the model."""
    resume_from: str | None = None
    """Continue an interrupted run: a checkpoint folder, or `auto` for the newest one in --output-dir, if any."""

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, f"--epochs {self.epochs}: must be 1 or more")
        _require(self.batch_size >= 1, f"--batch-size {self.batch_size}: must be 1 or more")
        _require(self.patience >= 0, f"--patience {self.patience}: must be 0 (never stop early) or more")
        _check_seed(self.seed)
        _check_device(self.device)
        _require(
            self.num_workers is None or 0 <= self.num_workers <= 256,
            f"--num-workers {self.num_workers}: must be between 0 and 256",
        )


@dataclass(frozen=True)
class PredictOptions:
    """Prediction."""

    model: Common[Path]
    """Model folder, or run folder of `aam train` (its best checkpoint is used)."""
    output: Common[Path]
    """Where to write predictions.tsv; the other tables are written beside it."""
    batch_size: int = 32
    """Samples per step; it does not change predictions."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N (ROCm devices are cuda too)."""

    def __post_init__(self) -> None:
        _require(self.batch_size >= 1, f"--batch-size {self.batch_size}: must be 1 or more")
        _check_device(self.device)


@dataclass(frozen=True)
class DemoOptions:
    """The whole way on a simulated study."""

    output_dir: Common[Path]
    """Folder for the demo: the study, two runs, predictions and a picture."""
    seed: int = 42
    """Random seed of the study and of both runs."""

    def __post_init__(self) -> None:
        _check_seed(self.seed)


def _check_seed(seed: int) -> None:
    _require(0 <= seed < 2**63, f"--seed {seed}: must be between 0 and 2^63 - 1")


def _check_device(device: str) -> None:
    known = device in ("auto", "cpu", "cuda") or (device.startswith("cuda:") and device[5:].isdigit())
    _require(known, f"--device {device}: must be auto, cpu, cuda or cuda:N")
