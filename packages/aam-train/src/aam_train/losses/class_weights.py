"""Weights of classes in the loss. Axes: K classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aam_train.errors import TrainError
from aam_train.options.losses import class_weight


def class_weights(option: str, names: Sequence[str], codes: np.ndarray) -> tuple[float, ...]:
    """Weights [K] that ``--class-weights`` asks for.

    ``auto`` is the inverse of how often a class occurs, ``n / (K n_k)``: all classes count alike together. A list has
    a weight for each label in their order, or ``name:weight`` for some; the others have 1.

    Args:
        option: as given.
        names: labels of the classes in their order.
        codes: float [B] class of each training sample, NaN = unknown.

    Raises:
        TrainError: not such a list, or one of other classes.
    """
    known = codes[np.isfinite(codes)].astype(np.int64)
    if option == "auto":
        counts = np.maximum(np.bincount(known, minlength=len(names)), 1)
        return tuple((len(known) / (len(names) * counts)).tolist())
    parts = [part.strip() for part in option.split(",")]
    if not any(":" in part for part in parts):
        if len(parts) != len(names):
            raise TrainError(
                f"--class-weights {option}: {len(parts)} weights for {len(names)} classes, which are "
                f"{', '.join(names)}. Give one each in this order, or name:weight"
            )
        return tuple(class_weight(option, part) for part in parts)
    weights = dict.fromkeys(names, 1.0)
    seen = set()
    for part in parts:
        name, colon, number = part.rpartition(":")
        if not colon or name not in weights or name in seen:
            problem = "is given twice" if name in seen else f"is no class; known: {', '.join(names)}"
            raise TrainError(f"--class-weights {option}: {name or part!r} {problem}. Write name:weight")
        seen.add(name)
        weights[name] = class_weight(option, number)
    return tuple(weights.values())
