"""Pretraining, training and prediction of Attention All Microbes.

The settings and errors are here, each program is in its own module: ``from aam_train.run_train import run_train``.
Names are imported when they are first used, so that reading options does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "DemoConfig": "experiment",
    "DemoOptions": "config",
    "OptimizerOptions": "optimizer_config",
    "PredictConfig": "experiment",
    "PredictOptions": "config",
    "PretrainConfig": "experiment",
    "PretrainObjective": "objective_config",
    "RunOptions": "config",
    "RunStopped": "errors",
    "TrainConfig": "experiment",
    "TrainError": "errors",
    "TrainObjective": "objective_config",
    "TransferOptions": "config",
    "config_from_toml": "config_io",
    "config_to_toml": "config_io",
    "read_records": "reporting.jsonl",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
