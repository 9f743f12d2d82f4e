"""Options of the engine. Standard library only; see aam_data.config for how an option is declared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from aam_train.ranges import require

_T = TypeVar("_T")
Common = Annotated[_T, "common"]


@dataclass(frozen=True)
class TransferOptions:
    """What a predictor starts from."""

    pretrained_encoder: Common[Path | None] = None
    """Model or run folder of `aam pretrain` (or `aam train`) to take the encoder from."""
    freeze_base: Common[bool] = False
    """Train the head alone; embeddings of the frozen encoder are computed once."""
    best_metric: Literal["val_loss", "r2", "mae", "accuracy", "balanced_accuracy", "f1", "auc"] = "val_loss"
    """Validation metric that decides which checkpoint is best and when to stop."""
    val_prediction_passes: int = 1
    """Fixed draws of every judged sample (reads, and ASVs with --asv-sampling random) whose outputs are averaged, 1 to
    100; `aam predict` does the same."""
    cv: int = 0
    """Folds of a cross-validation: one run each in fold-1/, fold-2/, ... and out-of-fold predictions; 0 = one run."""

    def __post_init__(self) -> None:
        require(
            not self.freeze_base or self.pretrained_encoder is not None,
            "--freeze-base needs --pretrained-encoder: a frozen encoder has to come from somewhere",
        )
        _check_passes("--val-prediction-passes", self.val_prediction_passes)
        require(self.cv == 0 or 2 <= self.cv <= 100, f"--cv {self.cv}: must be 0 (off) or between 2 and 100")


@dataclass(frozen=True)
class RunOptions:
    """The run itself."""

    output_dir: Common[Path]
    """Folder for the run: checkpoints, metrics, predictions, report."""
    epochs: Common[int] = 100
    """Passes over the training samples."""
    batch_size: Common[int] = 32
    """Samples per step, or per micro-batch with --gradient-accumulation-steps; pairs are made within it."""
    gradient_accumulation_steps: int = 1
    """Micro-batches per step: their gradients are added up, as those of one mean over all of them."""
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
        require(self.epochs >= 1, f"--epochs {self.epochs}: must be 1 or more")
        require(self.batch_size >= 1, f"--batch-size {self.batch_size}: must be 1 or more")
        require(
            self.gradient_accumulation_steps >= 1,
            f"--gradient-accumulation-steps {self.gradient_accumulation_steps}: must be 1 or more",
        )
        require(self.patience >= 0, f"--patience {self.patience}: must be 0 (never stop early) or more")
        _check_seed(self.seed)
        _check_device(self.device)
        require(
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
    asv_sampling: Literal["abundance", "first", "random"] | None = None
    """ASVs that a sample keeps within the model's --token-limit. Default: as in training."""
    prediction_passes: int | None = None
    """Fixed draws of every sample (reads, and ASVs with --asv-sampling random) whose outputs are averaged, 1 to 100.
    Default: the --val-prediction-passes of training."""
    output_variance: bool = False
    """Write the variance of the predictions over the passes into the full table (of a class: of its probability)."""
    batch_size: int = 32
    """Samples per step; it does not change predictions."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N (ROCm devices are cuda too)."""

    def __post_init__(self) -> None:
        _check_passes("--prediction-passes", 1 if self.prediction_passes is None else self.prediction_passes)
        require(self.batch_size >= 1, f"--batch-size {self.batch_size}: must be 1 or more")
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
    require(0 <= seed < 2**63, f"--seed {seed}: must be between 0 and 2^63 - 1")


def _check_device(device: str) -> None:
    known = device in ("auto", "cpu", "cuda") or (device.startswith("cuda:") and device[5:].isdigit())
    require(known, f"--device {device}: must be auto, cpu, cuda or cuda:N")


def _check_passes(flag: str, passes: int) -> None:
    require(1 <= passes <= 100, f"{flag} {passes}: must be between 1 and 100")
