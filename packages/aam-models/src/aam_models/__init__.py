"""Models of Attention All Microbes: tensors in, tensors out.

Names are imported when they are first used, so that reading a configuration does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Alphabet": "config",
    "AsvOutput": "batch",
    "Batch": "batch",
    "Chunk": "batch",
    "Conditions": "conditioning.conditions",
    "ConditioningConfig": "conditioning_config",
    "ConditioningOptions": "conditioning_config",
    "Encoder": "encoder",
    "EncoderConfig": "config",
    "EncoderOutput": "batch",
    "HeadOptions": "head_config",
    "Group": "batch",
    "ModelError": "errors",
    "ModelOptions": "config",
    "Predictor": "predictor",
    "PredictorConfig": "predictor_config",
    "PredictorOutput": "batch",
    "build_encoder": "build",
    "build_predictor": "build",
    "load_model": "model_folder",
    "new_folder": "folders",
    "pad": "padding",
    "read_config": "model_folder",
    "save_model": "model_folder",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
