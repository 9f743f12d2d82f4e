"""Pretraining, training and prediction of Attention All Microbes.

The settings and errors are here, each program is in its own module: ``from aam_train.recipes.train import train``.
Names are imported when they are first used, so that reading options does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "DemoConfig": "options.recipe_configs",
    "DemoOptions": "options.commands",
    "OptimizerOptions": "options.optimizer",
    "PredictConfig": "options.recipe_configs",
    "PredictOptions": "options.commands",
    "PretrainConfig": "options.recipe_configs",
    "PretrainObjective": "options.objective",
    "RunOptions": "options.run",
    "RunStopped": "errors",
    "TrainConfig": "options.recipe_configs",
    "TrainError": "errors",
    "TrainObjective": "options.objective",
    "TransferOptions": "options.run",
    "config_from_toml": "options.toml",
    "config_to_toml": "options.toml",
    "read_records": "reporting.jsonl",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
