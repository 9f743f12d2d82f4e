"""Models of Attention All Microbes: tensors in, tensors out.

Names are imported when they are first used, so that reading a configuration does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Alphabet": "config.encoder",
    "AsvOutput": "batch.batch",
    "Batch": "batch.batch",
    "Chunk": "batch.batch",
    "Conditions": "predictor.conditioning.conditions",
    "ConditioningConfig": "config.conditioning",
    "ConditioningOptions": "config.conditioning",
    "Encoder": "encoder.encoder",
    "EncoderConfig": "config.encoder",
    "EncoderOutput": "batch.batch",
    "HeadOptions": "config.head",
    "Group": "batch.batch",
    "ModelError": "errors",
    "ModelOptions": "config.encoder",
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

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
