"""Device selection and PyTorch seeds."""

from __future__ import annotations

import torch

from aam_data.random_keys import Purpose, generator
from aam_train.errors import TrainError


def resolve_device(name: str) -> torch.device:
    """Return the device for a ``--device`` value; ``auto`` is the first GPU, or the CPU if there is none.

    Raises:
        TrainError: there is no such GPU.
    """
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda:0" if available else "cpu")
    device = torch.device("cuda:0" if name == "cuda" else name)
    if device.type == "cuda" and (device.index or 0) >= available:
        raise TrainError(f"--device {name}: this machine has {available} GPUs that PyTorch can use. Use --device cpu")
    return device


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seed torch for one step, so that dropout depends only on (seed, step, rank).

    Rank 0 draws the same numbers as a single process.
    """
    key = (step, rank) if rank else (step,)
    torch.manual_seed(int(generator(seed, Purpose.STEP, *key).integers(2**63)))


def seed_weights(seed: int) -> None:
    """Seed torch for the initial weights."""
    torch.manual_seed(int(generator(seed, Purpose.WEIGHTS).integers(2**63)))
