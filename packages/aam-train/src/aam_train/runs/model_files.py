"""Files of a model folder other than weights and configuration."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.readers.qiime2 import identify
from aam_data.study.study import Study
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.predictor import Predictor
from aam_models.storage.config_json import CONFIG, config_to_json
from aam_models.storage.model_folder import save_model, write_tensors
from aam_models.storage.typed_json import read_record
from aam_train.files import read_json_object, write_json
from aam_train.runs.checkpoints import STATE
from aam_train.runs.records import PREPROCESSOR, TRAINING, TrainingRecord
from aam_train.runs.state import TrainerState

STATE_TENSORS, CARD = "train_state.safetensors", "README.md"


def input_records(study: Study, *other_files: Path | None) -> list[dict[str, Any]]:
    """Return the ``inputs`` of ``training.json``: the study's files and others, such as an encoder's weights."""
    inputs = [*study.inputs, *(identify(path) for path in other_files if path is not None)]
    return [asdict(provenance) for provenance in inputs]


def write_checkpoint(
    folder: Path,
    model: Encoder | Predictor,
    weights: dict[str, Tensor],
    preprocessor: Preprocessor,
    record: TrainingRecord,
    optimizer: dict[str, Tensor],
    state: TrainerState,
) -> None:
    """Write all files of a model folder but the manifest; ``weights`` and ``optimizer`` are whole tensors."""
    save_model(folder, model, weights)
    write_json(folder / PREPROCESSOR, preprocessor.to_dict())
    write_json(folder / TRAINING, asdict(record))
    write_json(folder / STATE, asdict(state))
    write_tensors(folder / STATE_TENSORS, optimizer)
    (folder / CARD).write_text(model_card(record, preprocessor), encoding="utf-8")


def write_sharded_metadata(
    folder: Path, model: Encoder | Predictor, preprocessor: Preprocessor, record: TrainingRecord, state: TrainerState
) -> None:
    """Write the files of a sharded checkpoint other than its shards; it has no model card, since it is no model."""
    (folder / CONFIG).write_text(config_to_json(model.config), encoding="utf-8")
    write_json(folder / PREPROCESSOR, preprocessor.to_dict())
    write_json(folder / TRAINING, asdict(record))
    write_json(folder / STATE, asdict(state))


def read_trainer_state(folder: Path) -> TrainerState:
    """Read ``train_state.json`` of a checkpoint, also of versions that saved fewer fields."""
    file = folder / STATE
    added_later = {"processes": 1, "saved_by": TrainerState().saved_by, "batching": None}
    return read_record(TrainerState, added_later | read_json_object(file), str(file), undefined=True)


def model_card(record: TrainingRecord, preprocessor: Preprocessor) -> str:
    """Return the text of ``README.md`` of a model folder."""
    counts = ", ".join(f"{number} {part}" for part, number in record.samples.items())
    depth = f"{preprocessor.rarefy_depth} reads per sample" if preprocessor.rarefy_depth else "no rarefaction"
    lines = [
        f"# AAM model: {'predicts ' + ', '.join(record.targets) if record.targets else 'encoder of samples'}",
        "",
        f"Made by `aam {record.command}`, step {record.step}. Samples: {counts}.",
        f"Input: up to {preprocessor.max_bp} bases of a sequence, {depth}, up to {preprocessor.max_asvs} ASVs.",
    ]
    if preprocessor.labels:
        lines.append(f"Classes: {', '.join(preprocessor.labels.names)}.")
    for target in preprocessor.targets:
        if target.quantiles:
            calibrated = ", calibrated" if target.widening else ""
            shown = ", ".join(f"{q:g}" for q in target.quantiles)
            lines.append(f"Quantiles of {target.spec.name}: {shown}{calibrated}; 0.5 is the prediction.")
    if preprocessor.required_columns:
        lines.append(f"Prediction needs the metadata columns {', '.join(preprocessor.required_columns)}.")
    if record.validation:
        lines += ["", "| validation metric | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4g} |" for name, value in record.validation.items()]
    use = "aam predict --model FOLDER --table TABLE --output predictions.tsv"
    if preprocessor.required_columns:
        use += " --metadata METADATA"
    if not record.targets:
        use = "aam train --pretrained-encoder FOLDER --table TABLE --metadata METADATA --metadata-column COLUMN ..."
    return "\n".join([*lines, "", f"Use: `{use}`", ""])
