"""The loss of a run's targets, from its options and what was fitted on the training samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from aam_train.data.run_data import RunData
from aam_train.errors import TrainError
from aam_train.losses.output_layout import OutputLayout, check_out_dim, check_signs
from aam_train.losses.targets import ClassLoss, NumberLoss, NumberLosses, TargetLoss
from aam_train.options.losses import class_weight, is_auto
from aam_train.options.recipe_configs import TrainConfig


def check_outputs(config: TrainConfig, data: RunData, targets: np.ndarray) -> OutputLayout:
    """Check the options of the outputs and return their layout.

    Args:
        targets: [B of the study, T] transformed values or class codes, NaN = missing.

    Raises:
        DataError: the training values contradict the options.
    """
    train, metadata = data.rows["train"], data.study.metadata
    assert metadata is not None
    check_out_dim(config.target.out_dim, data.preprocessor)
    if data.preprocessor.labels is None:
        values = {name: metadata.numeric(name)[train] for name in config.target.metadata_column}
        check_signs(data.preprocessor, values, config.link.output_activation)
    return OutputLayout.from_preprocessor(data.preprocessor, targets[train])


def target_loss(
    config: TrainConfig, data: RunData, targets: np.ndarray, by_class: Mapping[str, float], device: torch.device
) -> TargetLoss:
    """Build the loss of the targets; residuals are in standard deviations of the training targets.

    Args:
        targets: [B of the study, T] transformed values or class codes, NaN = missing.
        by_class: weights by class; empty for 1 each.
    """
    if data.preprocessor.labels is not None:
        return ClassLoss(tuple(by_class.values()) or None, device)
    spreads = np.maximum(np.nanstd(targets[data.rows["train"]], axis=0), 1e-6).tolist()
    each = zip(config.objective.losses(config.target.metadata_column), spreads, strict=True)
    return NumberLosses(
        tuple(
            NumberLoss(
                loss.type,
                spread,
                delta=1.0 if loss.huber_delta is None else loss.huber_delta / spread,
                quantiles=loss.outputs(),
                over=loss.over_penalty,
                under=loss.under_penalty,
                weight=loss.weight,
            )
            for loss, spread in each
        )
    )


def class_weights_of(config: TrainConfig, data: RunData, targets: np.ndarray) -> dict[str, float]:
    """Return the weight of each class by name; empty without --class-weights."""
    option, labels = config.objective.class_weights, data.preprocessor.labels
    if option is None or labels is None:
        return {}
    weights = class_weights(option, labels.names, targets[data.rows["train"], 0])
    return dict(zip(labels.names, weights, strict=True))


def losses_in_words(config: TrainConfig) -> dict[str, str]:
    """Describe the loss of each target, for the model's record."""
    columns = config.target.metadata_column
    if config.target.classifier:
        return dict.fromkeys(columns, "cross-entropy")
    return {name: loss.in_words() for name, loss in zip(columns, config.objective.losses(columns), strict=True)}


def class_weights(option: str, names: Sequence[str], codes: np.ndarray) -> tuple[float, ...]:
    """Compute the weights [K] of ``--class-weights``.

    ``auto`` is inverse frequency, ``n / (K n_k)``, so that all classes count alike in total. A list has
    a weight for each label in their order, or ``name:weight`` for some; the others have 1.

    Args:
        option: as given.
        names: labels of the classes in their order.
        codes: float [B] class of each training sample, NaN = unknown.

    Raises:
        TrainError: not such a list, or one for other classes.
    """
    known = codes[np.isfinite(codes)].astype(np.int64)
    if is_auto(option):
        counts = np.maximum(np.bincount(known, minlength=len(names)), 1)
        return tuple((len(known) / (len(names) * counts)).tolist())
    parts = [part.strip() for part in option.split(",")]
    if not any(":" in part for part in parts):
        if len(parts) != len(names):
            raise TrainError(
                f"--class-weights {option}: {len(parts)} weights for {len(names)} classes, which are "
                f"{', '.join(names)}. Pass one for each in this order, or name:weight"
            )
        return tuple(class_weight(option, part) for part in parts)
    weights = dict.fromkeys(names, 1.0)
    seen = set()
    for part in parts:
        name, colon, number = part.rpartition(":")
        if not colon or name not in weights or name in seen:
            problem = "is given twice" if name in seen else f"is not a class; choose from {', '.join(names)}"
            raise TrainError(f"--class-weights {option}: {name or part!r} {problem}. Write name:weight")
        seen.add(name)
        weights[name] = class_weight(option, number)
    return tuple(weights.values())
