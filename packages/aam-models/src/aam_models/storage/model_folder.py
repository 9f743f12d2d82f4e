"""Weights and configuration of a model in a folder: safetensors + JSON, nothing is unpickled.

The folder may hold further files (preprocessor, training record, optimizer state); they are their writers' business,
but the manifest covers them too.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aam_models.build import build_encoder, build_predictor
from aam_models.config.encoder import EncoderConfig
from aam_models.config.predictor import PredictorConfig
from aam_models.encoder.encoder import Encoder
from aam_models.errors import ModelError, first_few
from aam_models.predictor.predictor import Predictor
from aam_models.storage.config_json import config_from_json, config_to_json
from aam_models.storage.folders import read_text, verify_folder

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def save_model(folder: Path, model: Encoder | Predictor, weights: dict[str, Tensor] | None = None) -> None:
    """Write ``config.json`` and ``model.safetensors`` into an open folder (see `folders.new_folder`).

    Args:
        weights: of the model, where it has only a part of them; its own by default.
    """
    (folder / CONFIG).write_text(config_to_json(model.config), encoding="utf-8")
    write_tensors(folder / WEIGHTS, model.state_dict() if weights is None else weights)


def load_model(folder: Path) -> Encoder | Predictor:
    """The model of a folder, on the CPU, in evaluation mode. Draws no random numbers.

    Raises:
        ModelError: when a file is missing, changed, or does not fit the configuration.
    """
    verify_folder(folder)
    config = read_config(folder)
    weights = read_weights(folder)
    with torch.device("meta"):  # shapes only: a configuration may ask for more memory than there is
        model = build_predictor(config) if isinstance(config, PredictorConfig) else build_encoder(config)
    _check_weights(model, weights, str(folder / WEIGHTS))
    model.to_empty(device="cpu").load_state_dict(weights)
    return model.eval()


def read_config(folder: Path) -> EncoderConfig | PredictorConfig:
    """The configuration of a model folder, without its weights."""
    file = folder / CONFIG
    if not file.is_file():
        raise ModelError(f"{folder}: not a model folder (it has no {CONFIG})")
    return config_from_json(read_text(file), str(file))


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of ``model.safetensors``; a file that is not safetensors is refused."""
    return read_tensors(folder / WEIGHTS)


def load_weights(
    model: nn.Module, weights: Mapping[str, Tensor], file: str, fill: Callable[[Tensor, Tensor], object] = Tensor.copy_
) -> None:
    """Load weights strictly: the same names, shapes and types, finite values.

    Args:
        file: named in errors.
        fill: puts the second tensor into the first, which may hold a part of it.
    """
    _check_weights(model, weights, file)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            fill(tensor, weights[name])


def write_tensors(file: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file.

    Raises:
        OSError: when the disk does not take it.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, file)
    except SafetensorError as error:  # has the number of the system's error in its text alone
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code), str(file)) from error


def read_tensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. They stay mapped to it: copy what has to outlive the file.

    Raises:
        ModelError: when the file is absent, cut off or something else.
    """
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file}: not a readable safetensors file ({error})") from error


def _check_weights(model: nn.Module, weights: Mapping[str, Tensor], file: str) -> None:
    expected = model.state_dict()
    if missing := sorted(expected.keys() - weights.keys()):
        raise ModelError(f"{file}: missing tensors: {first_few(missing)}")
    if extra := sorted(weights.keys() - expected.keys()):
        raise ModelError(f"{file}: unexpected tensors: {first_few(extra)}")
    wrong = [
        f"{name} is {_form(weights[name])}, the model needs {_form(tensor)}"
        for name, tensor in expected.items()
        if _form(weights[name]) != _form(tensor)
    ]
    if wrong:
        raise ModelError(f"{file}: tensors of another form: {first_few(wrong, '; ')}")
    if broken := [name for name in expected if not torch.isfinite(weights[name]).all()]:
        raise ModelError(f"{file}: values that are not finite: {first_few(broken)}")


def _form(tensor: Tensor) -> str:
    """Like ``float32 [64, 64]``."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
