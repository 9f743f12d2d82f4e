"""JSON files of a model folder: how the model was trained, and how it preprocesses data. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as short
from typing import Any

from aam_data.options.base import UnifracMetric
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.errors import ModelError
from aam_models.storage.typed_json import read_record
from aam_train.files import read_json_object
from aam_train.options.validate import MAX_PASSES

PREPROCESSOR, TRAINING = "preprocessor.json", "training.json"


@dataclass(frozen=True)
class TrainingRecord:
    """Provenance of a model: ``training.json``.

    Attributes:
        command: "pretrain" or "train".
        inputs: path as given, SHA-256, QIIME 2 uuid and type of every input file.
        targets: the columns that it predicts; empty after pretraining.
        samples: number of samples by part.
        step: training step of the weights.
        validation: metrics at the end of the last epoch.
        versions: versions of the software that made it.
        best_metric, best_value: the metric that selects the best checkpoint, and its best value so far; None before the
            first.
        unifrac_metric, unifrac_alpha: metric of the distances that were learned, if any were.
        constant: the predictions of a constant baseline: the training mean of each target, or the share of each class;
            after pretraining the means of distances (``unifrac``) and of Faith's PD (``faith_pd``).
        losses: description of the loss of each target; empty in models of older versions.
        class_weights: weights of the classes in the loss; empty if all are 1.
        penalties: strength of the penalty of a head that was fitted in closed form, by target; empty for other heads.
        prediction_passes: number of draws of a sample whose outputs are averaged, see --val-prediction-passes.
        format_version: version of this record's format.
    """

    command: str
    inputs: list[dict[str, str | None]]
    targets: list[str]
    samples: dict[str, int]
    step: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    best_metric: str = "val_loss"
    best_value: float | None = None
    unifrac_metric: UnifracMetric = "unifrac"
    unifrac_alpha: float = 1.0
    constant: dict[str, float] = field(default_factory=dict)
    prediction_passes: int = 1
    losses: dict[str, str] = field(default_factory=dict)
    class_weights: dict[str, float] = field(default_factory=dict)
    penalties: dict[str, float] = field(default_factory=dict)
    format_version: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.prediction_passes <= MAX_PASSES:
            raise ModelError(f"prediction_passes {self.prediction_passes}: must be 1 to {MAX_PASSES}")
        if self.step < 0 or any(number < 0 for number in self.samples.values()):
            raise ModelError("numbers of steps and samples cannot be below 0")


def read_preprocessor(folder: Path) -> Preprocessor:
    """Read the preprocessor of a model folder."""
    return Preprocessor.from_dict(read_json_object(folder / PREPROCESSOR))


def read_training(folder: Path) -> TrainingRecord:
    """Read the training record of a model folder, of this format or an older one."""
    file = folder / TRAINING
    return read_record(TrainingRecord, _upgrade(read_json_object(file), file), str(file), undefined=True)


def _upgrade(content: dict[str, Any], file: Path) -> dict[str, Any]:
    newest = TrainingRecord("", [], [], {}).format_version
    version = content.get("format_version", 1)
    if type(version) is not int or not 1 <= version <= newest:
        raise ModelError(
            f"{file}: format version {short(version)}; this program reads versions up to {newest}. "
            "Update AAM: pip install -U aam-cli"
        )
    if version == 1:  # before metrics of pretraining and other distances could be chosen
        added = {"best_metric": "val_loss", "best_value": None, "unifrac_metric": "unifrac", "unifrac_alpha": 1.0}
        content = {**added, "constant": {}, "prediction_passes": 1, **content}
    if version <= 2:  # before losses of single targets
        content = {"losses": {}, "class_weights": {}, **content}
    if version <= 3:  # before heads were fitted in closed form
        content = {"penalties": {}, **content, "format_version": 4}
    return content
