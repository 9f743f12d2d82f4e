"""Weights and configuration of a model in a folder: safetensors and JSON, never pickles.

The folder may contain other files (preprocessor, training record, optimizer state), which other modules read and write;
the manifest covers them too.
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
from aam_models.config.predictor import PredictorConfig
from aam_models.encoder.encoder import Encoder
from aam_models.errors import ModelError, first_few
from aam_models.predictor.predictor import Predictor
from aam_models.storage.config_json import CONFIG, config_to_json, read_config
from aam_models.storage.folders import verify_folder

WEIGHTS = "model.safetensors"
MAX_ABSENT = 1000  # more are only counted: building the model to name them would take as many modules


def save_model(folder: Path, model: Encoder | Predictor, weights: dict[str, Tensor] | None = None) -> None:
    """Write ``config.json`` and ``model.safetensors`` into an open folder (see `folders.new_folder`).

    Args:
        folder: the open folder.
        model: an encoder or a predictor.
        weights: all weights, if the model contains only a part of them; the model's own by default.

    Example:
        >>> with new_folder(Path("model")) as folder:
        ...     save_model(folder, encoder)
    """
    (folder / CONFIG).write_text(config_to_json(model.config), encoding="utf-8")
    write_tensors(folder / WEIGHTS, model.state_dict() if weights is None else weights)


def load_model(folder: Path) -> Encoder | Predictor:
    """Load the model of a folder, on the CPU, in evaluation mode. Draws no random numbers.

    Args:
        folder: as `save_model` and `new_folder` write it.

    Returns:
        The encoder or predictor.

    Raises:
        ModelError: a file is missing, was changed, or does not match the configuration.

    Example:
        >>> embeddings = load_model(Path("model"))(batch).sample_embeddings
    """
    verify_folder(folder)
    config = read_config(folder)
    weights = read_weights(folder)
    if (tensors := config.least_size().tensors) > len(weights) + MAX_ABSENT:
        raise ModelError(
            f"{folder / CONFIG}: describes a model of at least {tensors:,} tensors, but {WEIGHTS} has "
            f"{len(weights):,}. The files are not of one model"
        )
    with torch.device("meta"):  # shapes only: a configuration may ask for more memory than there is
        model = build_predictor(config) if isinstance(config, PredictorConfig) else build_encoder(config)
    _check_weights(model, weights, str(folder / WEIGHTS))
    model.to_empty(device="cpu").load_state_dict(weights)
    return model.eval()


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read all tensors of ``model.safetensors``; raises as `read_tensors` does."""
    return read_tensors(folder / WEIGHTS)


def load_weights(
    model: nn.Module, weights: Mapping[str, Tensor], file: str, fill: Callable[[Tensor, Tensor], object] = Tensor.copy_
) -> None:
    """Load weights strictly: the same names, shapes and types, finite values.

    Args:
        file: named in errors.
        fill: copies the second tensor into the first, which may be a shard of it.
    """
    _check_weights(model, weights, file)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            fill(tensor, weights[name])


def write_tensors(file: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file.

    Raises:
        OSError: the file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, file)
    except SafetensorError as error:  # has the system's error number only in its text
        number = re.search(r"(?:os error|code:) (\d+)", str(error))  # of safetensors today, and of 0.4
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code), str(file)) from error


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file. They stay mapped to it: copy those that must outlive the file.

    Raises:
        ModelError: the file is absent, truncated or something else.
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
        f"{name} is {_type_and_shape(weights[name])}, the model needs {_type_and_shape(tensor)}"
        for name, tensor in expected.items()
        if _type_and_shape(weights[name]) != _type_and_shape(tensor)
    ]
    if wrong:
        raise ModelError(f"{file}: tensors of another type or shape: {first_few(wrong, '; ')}")
    if broken := [name for name in expected if not torch.isfinite(weights[name]).all()]:
        raise ModelError(f"{file}: values that are not finite: {first_few(broken)}")


def _type_and_shape(tensor: Tensor) -> str:
    """Format type and shape, as ``float32 [64, 64]``."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
