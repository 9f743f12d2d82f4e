"""Options of the engine. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aam_data.options.base import Common, require


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
    """ASVs that a sample keeps within the model's --max-asvs. Default: as in training."""
    prediction_passes: int | None = None
    """Fixed draws of every sample (reads, and ASVs with --asv-sampling random) whose outputs are averaged, 1 to 100.
    Default: the --val-prediction-passes of training."""
    output_variance: bool = False
    """Write the variance of the predictions over the passes into the full table (of a class: of its probability)."""
    category_attention: Path | None = None
    """Where to write, as .tsv, how much each sample attends to itself and to each of the --categorical-columns; for
    models of --categorical-fusion cross-attention."""
    batch_size: int = 32
    """Samples per step; it does not change predictions."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N (ROCm devices are cuda too)."""
    overwrite: bool = False
    """Write over an --output that exists, and over the files beside it."""

    def __post_init__(self) -> None:
        _check_passes("--prediction-passes", 1 if self.prediction_passes is None else self.prediction_passes)
        require(
            self.category_attention is None or self.category_attention != self.output,
            f"--category-attention {self.category_attention}: this is --output. Name another file",
        )
        require(self.batch_size >= 1, f"--batch-size {self.batch_size}: must be 1 or more")
        _check_device(self.device)


@dataclass(frozen=True)
class EmbedOptions:
    """Embeddings."""

    model: Common[Path]
    """Model or run folder of `aam pretrain` or `aam train`."""
    output: Common[Path]
    """Where to write: .tsv (QIIME 2 metadata) or .npz (arrays `ids` and `embeddings`)."""
    overwrite: bool = False
    """Write over an --output that exists, and over the files beside it."""
    level: Common[Literal["sample", "asv"]] = "sample"
    """What to embed: the samples, or the ASVs of the table (by their ids in the file)."""
    distances: Path | None = None
    """Where to write the distances that the model predicts between samples: .tsv, .h5 or .npy as `aam unifrac` does."""
    batch_size: int = 32
    """Samples per step; it does not change embeddings."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N (ROCm devices are cuda too)."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, f"--batch-size {self.batch_size}: must be 1 or more")
        require(
            self.output.suffix in (".tsv", ".npz"), f"--output {self.output}: embeddings are written as .tsv or .npz"
        )
        require(
            self.distances is None or self.level == "sample",
            "--distances are between samples: leave out --level asv",
        )
        require(self.distances != self.output, f"--distances {self.distances}: this is --output. Name another file")
        _check_device(self.device)


@dataclass(frozen=True)
class EvaluateOptions:
    """What is judged, on which samples."""

    model: Common[Path]
    """Model or run folder of `aam train` or `aam pretrain`."""
    output_dir: Common[Path]
    """Folder for the figures, tables and pictures; must not exist or be empty."""
    splits_from: Path | None = None
    """Run folder (or its splits.tsv) that says which samples the model trained on. Default: the model's own run."""
    part: Common[Literal["all", "train", "validation", "calibration", "test", "new"]] = "all"
    """Samples to judge: all, those of one part of the model's run, or those that its run does not know."""
    prediction_passes: int | None = None
    """Fixed draws of every sample whose outputs are averaged. Default: as in training."""
    batch_size: int = 32
    """Samples per step; it does not change figures."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N (ROCm devices are cuda too)."""

    def __post_init__(self) -> None:
        _check_passes("--prediction-passes", 1 if self.prediction_passes is None else self.prediction_passes)
        require(self.batch_size >= 1, f"--batch-size {self.batch_size}: must be 1 or more")
        _check_device(self.device)


@dataclass(frozen=True)
class BaselineOptions:
    """A random forest on relative abundances."""

    metadata_column: Common[tuple[str, ...]]
    """The metadata column to predict; may be repeated for several numeric targets."""
    output: Common[Path]
    """Where to write predictions.tsv; importance, probabilities and figures are written beside it."""
    overwrite: bool = False
    """Write over an --output that exists, and over the files beside it."""
    classifier: Common[bool] = False
    """Predict classes instead of numbers."""
    n_estimators: int = 500
    """Trees."""
    max_features: str = "sqrt"
    """Features that each split looks at: sqrt, log2, a share such as 0.3, or all."""
    rarefy_depth: int = 5000
    """Reads drawn per sample without replacement, as for a model; 0 = all reads."""
    random_seed: int = 42
    """Random seed of splits, rarefaction and trees."""
    n_jobs: int = -1
    """Threads; -1 = all cores."""

    def __post_init__(self) -> None:
        require(len(self.metadata_column) > 0, "--metadata-column: name the column to predict")
        require(self.n_estimators >= 1, f"--n-estimators {self.n_estimators}: must be 1 or more")
        require(self.rarefy_depth >= 0, f"--rarefy-depth {self.rarefy_depth}: must be 0 (off) or more")
        require(self.n_jobs == -1 or self.n_jobs >= 1, f"--n-jobs {self.n_jobs}: must be -1 (all cores) or 1 or more")
        _check_seed(self.random_seed)
        self.features_per_split()

    def features_per_split(self) -> str | float | None:
        """``max_features`` as scikit-learn takes it."""
        if self.max_features in ("sqrt", "log2"):
            return self.max_features
        if self.max_features == "all":
            return None
        try:
            share = float(self.max_features)
        except ValueError:
            share = 0.0
        require(0 < share <= 1, f"--max-features {self.max_features}: must be sqrt, log2, all, or a share up to 1")
        return share


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
