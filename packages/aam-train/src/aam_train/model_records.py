"""The JSON files of a model folder that say how it was made and how it treats data. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aam_data.preprocessor import Preprocessor
from aam_train.json_files import read_json_object, read_record

PREPROCESSOR, TRAINING = "preprocessor.json", "training.json"


@dataclass(frozen=True)
class TrainingRecord:
    """Where a model comes from: ``training.json``.

    Attributes:
        command: "pretrain" or "train".
        inputs: path as given, SHA-256, QIIME 2 uuid and type of every input file.
        targets: what it predicts; empty after pretraining.
        samples: number of samples by part.
        step: of the weights.
        validation: metrics at the end of the last epoch.
        versions: of what made it.
    """

    command: str
    inputs: list[dict[str, Any]]
    targets: list[str]
    samples: dict[str, int]
    step: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def read_preprocessor(folder: Path) -> Preprocessor:
    """The preprocessor of a model folder."""
    return Preprocessor.from_dict(read_json_object(folder / PREPROCESSOR))


def read_training(folder: Path) -> TrainingRecord:
    """The training record of a model folder."""
    return read_record(folder / TRAINING, TrainingRecord)
