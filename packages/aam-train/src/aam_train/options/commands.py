"""Options of single commands: predict, embed, evaluate, rf-baseline and demo. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aam_data.options.base import Common, require
from aam_data.options.input_path import InputFolder, InputPath
from aam_train.options.validate import at_least_one, check_device, check_passes, check_seed

_OTHER_FORMATS = (".csv", ".gz", ".zip", ".npz", ".npy", ".h5", ".biom", ".qza", ".json", ".xlsx", ".parquet")


def _check_table_suffix(output: Path) -> None:
    """Raise ValueError for a name of another format: readers would take the table for that."""
    suffix = output.suffix.lower()
    require(suffix not in _OTHER_FORMATS, f"--output {output}: is written as tab-separated text, so use .tsv")


@dataclass(frozen=True)
class PredictOptions:
    """Prediction of new samples."""

    model: Common[InputFolder[Path]]
    """Model folder, or run folder of `aam train` (the best checkpoint is used). Of a run with --ensemble, --cv or
    --cv-by, the predictions of all its models are averaged."""
    output: Common[Path]
    """Path of predictions.tsv; the other tables are written next to it."""
    asv_sampling: Literal["abundance", "first", "random"] | None = None
    """ASVs that a sample keeps within the model's --max-asvs. Default: as in training."""
    prediction_passes: int | None = None
    """Fixed draws of each sample (reads, and ASVs with --asv-sampling random) whose outputs are averaged, 1 to 100.
    Default: the --val-prediction-passes of training."""
    output_variance: bool = False
    """Add the variance of the predictions over the passes to the full table (for classes, of the probability)."""
    category_attention: Path | None = None
    """Path of a .tsv table of the attention of each sample to itself and to each of the --categorical-columns; for
    models with --categorical-fusion cross-attention."""
    batch_size: int = 32
    """Samples per step; does not change predictions."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N (ROCm devices are cuda too)."""
    overwrite: bool = False
    """Overwrite an existing --output and the files next to it."""

    def __post_init__(self) -> None:
        _check_table_suffix(self.output)
        check_passes("--prediction-passes", 1 if self.prediction_passes is None else self.prediction_passes)
        require(
            self.category_attention is None or self.category_attention != self.output,
            f"--category-attention {self.category_attention}: must differ from --output",
        )
        at_least_one("--batch-size", self.batch_size)
        check_device(self.device)


@dataclass(frozen=True)
class EmbedOptions:
    """Embeddings."""

    model: Common[InputFolder[Path]]
    """Model or run folder of `aam pretrain` or `aam train`."""
    output: Common[Path]
    """Output file: .tsv (QIIME 2 metadata) or .npz (arrays `ids` and `embeddings`)."""
    overwrite: bool = False
    """Overwrite an existing --output and the files next to it."""
    level: Common[Literal["sample", "asv"]] = "sample"
    """Embed the samples, or the ASVs of the table (by their ids in the file)."""
    features: Literal["embedding", "wide"] | None = None
    """What to write of a sample: its embedding by the encoder, or the wide features that the head of a probe reads
    (`aam train --adaptation probe`). Default: the embedding; wide if the model has no encoder."""
    distances: Path | None = None
    """Output file of the predicted distances between samples: .tsv, .h5 or .npy, as for `aam unifrac`."""
    batch_size: int = 32
    """Samples per step; does not change embeddings."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N (ROCm devices are cuda too)."""

    def __post_init__(self) -> None:
        at_least_one("--batch-size", self.batch_size)
        require(self.output.suffix in (".tsv", ".npz"), f"--output {self.output}: must end in .tsv or .npz")
        require(
            self.distances is None or self.level == "sample",
            "--distances cannot be combined with --level asv: they are distances between samples",
        )
        require(self.distances != self.output, f"--distances {self.distances}: must differ from --output")
        require(
            self.features is None or self.level == "sample",
            f"--features {self.features} cannot be combined with --level asv: they are features of samples",
        )
        check_device(self.device)


@dataclass(frozen=True)
class EvaluateOptions:
    """The model to evaluate, and the samples."""

    model: Common[InputFolder[Path]]
    """Model or run folder of `aam train` or `aam pretrain`; predictions of several models are averaged."""
    output_dir: Common[Path]
    """Folder for metrics, tables and plots; must be new or empty."""
    splits_from: InputPath[Path | None] = None
    """Run folder (or its splits.tsv) with the samples that the model was trained on. Default: the model's own run."""
    part: Common[Literal["all", "train", "validation", "calibration", "test", "new"]] = "all"
    """Samples to evaluate: all, those of one part of the model's run, or those that are not in its run."""
    prediction_passes: int | None = None
    """Fixed draws of every sample whose outputs are averaged. Default: as in training."""
    batch_size: int = 32
    """Samples per step; does not change metrics."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N (ROCm devices are cuda too)."""

    def __post_init__(self) -> None:
        check_passes("--prediction-passes", 1 if self.prediction_passes is None else self.prediction_passes)
        at_least_one("--batch-size", self.batch_size)
        check_device(self.device)


@dataclass(frozen=True)
class BaselineOptions:
    """A random forest on relative abundances."""

    output: Common[Path]
    """Path of predictions.tsv; importance, probabilities and metrics are written next to it."""
    metadata_column: Common[tuple[str, ...]] = ()
    """The metadata column to predict; may be repeated for several numeric targets. Default: that of the run of
    --splits-from."""
    overwrite: bool = False
    """Overwrite an existing --output and the files next to it."""
    classifier: Common[bool] = False
    """Predict classes instead of numbers."""
    n_estimators: int = 500
    """Number of trees."""
    max_features: str = "sqrt"
    """Features to consider at each split: sqrt, log2, a share such as 0.3, or all."""
    rarefy_depth: int | None = None
    """Reads drawn per sample without replacement, as for a model; 0 = all reads. Default: that of the run of
    --splits-from; else 5000, or 0 with --relative-abundance."""
    random_seed: int | None = None
    """Random seed of splits, rarefaction and trees. Default: that of the run of --splits-from, else 42."""
    n_jobs: int = -1
    """Number of threads; -1 = all cores."""

    def __post_init__(self) -> None:
        _check_table_suffix(self.output)
        at_least_one("--n-estimators", self.n_estimators)
        require(self.n_estimators <= 100_000, f"--n-estimators {self.n_estimators}: must be at most 100,000")
        require(
            self.rarefy_depth is None or self.rarefy_depth >= 0,
            f"--rarefy-depth {self.rarefy_depth}: must be 0 (off) or more",
        )
        jobs = self.n_jobs
        require(jobs == -1 or 1 <= jobs <= 1024, f"--n-jobs {jobs}: must be -1 (all cores) or 1 to 1,024")
        check_seed("--random-seed", self.random_seed or 0)
        self.features_per_split()

    def features_per_split(self) -> str | float | None:
        """Return ``max_features`` in scikit-learn's form."""
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
    """A demonstration of the whole pipeline on a simulated study."""

    output_dir: Common[Path]
    """Folder for the demo: the study, two runs, predictions and a plot."""
    seed: int = 42
    """Random seed of the study and of both runs."""

    def __post_init__(self) -> None:
        check_seed("--seed", self.seed)
