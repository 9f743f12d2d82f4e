"""Weights and configuration of a model in a folder: safetensors + JSON, nothing is unpickled.

The folder may hold further files (preprocessor, training record, optimizer state); they are their writers' business,
but the manifest covers them too.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aam_models.build import build_encoder, build_predictor
from aam_models.config import EncoderConfig, PredictorConfig
from aam_models.config_json import config_from_json, config_to_json
from aam_models.encoder import Encoder
from aam_models.errors import ModelError
from aam_models.folders import verify_folder
from aam_models.predictor import Predictor

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def save_model(folder: Path, model: Encoder | Predictor) -> None:
    """Write ``config.json`` and ``model.safetensors`` into an open folder (see `folders.new_folder`)."""
    (folder / CONFIG).write_text(config_to_json(model.config), encoding="utf-8")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / WEIGHTS)


def read_config(folder: Path) -> EncoderConfig | PredictorConfig:
    """The configuration of a model folder, without its weights."""
    file = folder / CONFIG
    if not file.is_file():
        raise ModelError(f"{folder}: not a model folder (it has no {CONFIG})")
    return config_from_json(file.read_text(encoding="utf-8"), str(file))


def load_model(folder: Path) -> Encoder | Predictor:
    """The model of a folder, on the CPU, in evaluation mode.

    Raises:
        ModelError: when a file is missing, changed, or does not fit the configuration.
    """
    verify_folder(folder)
    config = read_config(folder)
    model = build_predictor(config) if isinstance(config, PredictorConfig) else build_encoder(config)
    load_weights(model, read_weights(folder), str(folder / WEIGHTS))
    return model.eval()


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of ``model.safetensors``; a file that is not safetensors is refused."""
    return read_tensors(folder / WEIGHTS)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file."""
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file}: not a readable safetensors file ({error})") from error


def load_weights(model: nn.Module, weights: dict[str, Tensor], file: str) -> None:
    """Load weights strictly: the same names and shapes, finite values; ``file`` is named in errors."""
    expected = model.state_dict()
    if missing := sorted(set(expected) - set(weights)):
        raise ModelError(f"{file}: missing tensors: {', '.join(missing[:5])}")
    if extra := sorted(set(weights) - set(expected)):
        raise ModelError(f"{file}: unexpected tensors: {', '.join(extra[:5])}")
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise ModelError(
                f"{file}: {name} has shape {tuple(tensor.shape)}, the model needs {tuple(expected[name].shape)}"
            )
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{file}: {name} has values that are not finite")
    model.load_state_dict(weights)
