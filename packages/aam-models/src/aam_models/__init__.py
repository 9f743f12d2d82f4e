"""Models of Attention All Microbes: tensors in, tensors out.

Names are imported when they are first used, so that reading a configuration does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aam_models.batch.batch import (
        AsvOutput,
        Batch,
        Chunk,
        EncoderOutput,
        PaddedGroup,
        PredictorOutput,
    )
    from aam_models.batch.padding import pad
    from aam_models.build import build_encoder, build_predictor
    from aam_models.config.conditioning import ConditioningConfig, ConditioningOptions
    from aam_models.config.encoder import Alphabet, EncoderConfig, ModelOptions
    from aam_models.config.predictor import HeadOptions, PredictorConfig
    from aam_models.encoder.encoder import Encoder
    from aam_models.errors import ModelError
    from aam_models.predictor.conditioning.conditions import Conditions
    from aam_models.predictor.predictor import Predictor
    from aam_models.storage.folders import new_folder
    from aam_models.storage.model_folder import load_model, read_config, save_model

_HOME = {
    "Alphabet": "config.encoder",
    "AsvOutput": "batch.batch",
    "Batch": "batch.batch",
    "Chunk": "batch.batch",
    "ConditioningConfig": "config.conditioning",
    "ConditioningOptions": "config.conditioning",
    "Conditions": "predictor.conditioning.conditions",
    "Encoder": "encoder.encoder",
    "EncoderConfig": "config.encoder",
    "EncoderOutput": "batch.batch",
    "HeadOptions": "config.predictor",
    "ModelError": "errors",
    "ModelOptions": "config.encoder",
    "PaddedGroup": "batch.batch",
    "Predictor": "predictor.predictor",
    "PredictorConfig": "config.predictor",
    "PredictorOutput": "batch.batch",
    "build_encoder": "build",
    "build_predictor": "build",
    "load_model": "storage.model_folder",
    "new_folder": "storage.folders",
    "pad": "batch.padding",
    "read_config": "storage.model_folder",
    "save_model": "storage.model_folder",
}

__all__ = [
    "Alphabet",
    "AsvOutput",
    "Batch",
    "Chunk",
    "ConditioningConfig",
    "ConditioningOptions",
    "Conditions",
    "Encoder",
    "EncoderConfig",
    "EncoderOutput",
    "HeadOptions",
    "ModelError",
    "ModelOptions",
    "PaddedGroup",
    "Predictor",
    "PredictorConfig",
    "PredictorOutput",
    "build_encoder",
    "build_predictor",
    "load_model",
    "new_folder",
    "pad",
    "read_config",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
