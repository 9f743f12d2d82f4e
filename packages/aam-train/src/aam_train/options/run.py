"""Options of training runs. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from aam_data.options.base import Common, require
from aam_data.options.input_path import InputFolder, ReadsPath
from aam_train.options.baselines import chosen_baselines
from aam_train.options.metrics import TargetMetric
from aam_train.options.validate import at_least_one, check_device, check_passes, check_seed

Adaptation = Literal["auto", "probe", "fine-tune"]
_CHECKPOINT = ReadsPath("folder", lambda value: value != "auto")


@dataclass(frozen=True)
class TransferOptions:
    """Transfer learning, validation, cross-validation and baselines."""

    pretrained_encoder: Common[InputFolder[Path | None]] = None
    """Model or run folder of `aam pretrain` (or `aam train`) to take the encoder from."""
    adaptation: Common[Adaptation] = "auto"
    """probe fits a linear head in closed form, in seconds, to many fixed features of a sample: of its ASVs' embeddings
    by --pretrained-encoder and of their bases; of bases alone without an encoder. fine-tune trains encoder and head
    step by step. auto is fine-tune if another option only applies to steps, else probe; with an encoder and 2,000
    training samples, that probe is fine-tuned too, if this clearly lowers the loss of validation samples."""
    freeze_base: Common[bool] = False
    """Train only the head; embeddings of the frozen encoder are computed once."""
    best_metric: TargetMetric = "val_loss"
    """Validation metric that selects the best checkpoint and decides when to stop."""
    val_prediction_passes: int = 1
    """Fixed draws of each validation sample (reads, and ASVs with --asv-sampling random) whose outputs are averaged, 1
    to 100; also the default of `aam predict`."""
    cv: int = 0
    """Folds of a cross-validation, one run each in fold-1/, fold-2/, ..., with out-of-fold predictions; 0 = one run."""
    repeats: int = 1
    """Partitions into the folds of --cv, each with its own runs in repeat-1/fold-1/, ...; metrics are means over
    them."""
    cv_by: str | None = None
    """Metadata column (study, cohort) whose values are held out one at a time, one run each in fold-1/, fold-2/, ..."""
    ensemble: int = 0
    """Models with different seeds for the same split, 2 to 100, one run each in member-1/, member-2/, ...;
    `aam predict` averages their predictions. 0 = one run."""
    baselines: Common[str] = "fast"
    """Baselines to compare with: none (the constant only), fast, all (with lightgbm), or names separated by commas:
    random_forest, clr_linear, unifrac_kernel, metadata_forest, lightgbm."""

    def __post_init__(self) -> None:
        require(
            not self.freeze_base or self.pretrained_encoder is not None,
            "--freeze-base needs --pretrained-encoder: an untrained encoder would stay untrained",
        )
        check_passes("--val-prediction-passes", self.val_prediction_passes)
        require(self.cv == 0 or 2 <= self.cv <= 100, f"--cv {self.cv}: must be 0 (off) or between 2 and 100")
        require(1 <= self.repeats <= 100, f"--repeats {self.repeats}: must be between 1 and 100")
        require(self.repeats == 1 or self.cv > 0, f"--repeats {self.repeats} needs --cv: it repeats its folds")
        require(
            self.cv_by is None or self.cv == 0,
            f"--cv-by {self.cv_by} and --cv {self.cv} cannot be combined; use one of them",
        )
        require(self.ensemble == 0 or 2 <= self.ensemble <= 100, f"--ensemble {self.ensemble}: must be 0 or 2 to 100")
        require(
            not self.ensemble or not self.cross_validation,
            f"--ensemble {self.ensemble} and {self.cross_validation} cannot be combined: the models of the folds are "
            "an ensemble already, which `aam predict` averages. Use one of them",
        )
        chosen_baselines(self.baselines)

    @property
    def cross_validation(self) -> str:
        """The option that makes several splits, ``--cv`` or ``--cv-by``; empty for one split."""
        return "--cv" if self.cv else "--cv-by" if self.cv_by is not None else ""


@dataclass(frozen=True)
class RunOptions:
    """The training run."""

    output_dir: Common[Path]
    """Folder for the run: checkpoints, metrics, predictions, report."""
    epochs: Common[int] = 100
    """Passes over the training samples."""
    batch_size: Common[int] = 32
    """Samples per step, or per micro-batch with --gradient-accumulation-steps; UniFrac pairs are formed within it."""
    gradient_accumulation_steps: int = 1
    """Micro-batches per step; their gradients add up to that of the mean over all of them."""
    patience: int = 10
    """Epochs without a better validation metric before the run stops; 0 = never."""
    seed: Common[int] = 42
    """Random seed of splits, rarefaction, masks, weights and order."""
    device: Common[str] = "auto"
    """auto, cpu, cuda or cuda:N (ROCm devices are cuda too)."""
    num_workers: int | None = None
    """Processes that prepare batches. Default: 4, fewer on a small machine, 0 when the CPU also runs the model."""
    resume_from: Annotated[str | None, _CHECKPOINT] = None
    """Resume an interrupted run from a checkpoint folder, or `auto` for the newest one in --output-dir, if any."""

    def __post_init__(self) -> None:
        at_least_one("--epochs", self.epochs)
        at_least_one("--batch-size", self.batch_size)
        at_least_one("--gradient-accumulation-steps", self.gradient_accumulation_steps)
        require(self.patience >= 0, f"--patience {self.patience}: must be 0 (never stop early) or more")
        check_seed("--seed", self.seed)
        check_device(self.device)
        require(
            self.num_workers is None or 0 <= self.num_workers <= 256,
            f"--num-workers {self.num_workers}: must be between 0 and 256",
        )
