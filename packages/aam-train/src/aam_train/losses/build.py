"""The loss of a run's targets, from its options and what was fitted on the training samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from aam_train.data.run_data import RunData
from aam_train.losses.class_weights import class_weights
from aam_train.losses.output_layout import OutputLayout, check_out_dim, check_signs
from aam_train.losses.targets import ClassLoss, NumberLoss, NumberLosses, TargetLoss
from aam_train.options.recipe_configs import TrainConfig


def check_outputs(config: TrainConfig, data: RunData, targets: np.ndarray) -> OutputLayout:
    """What the outputs of the model are.

    Args:
        targets: [B of the study, T] transformed values or class codes, NaN = missing.

    Raises:
        DataError: options that the training values contradict.
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
    """How a run compares outputs with targets; residuals in standard deviations of the training targets.

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
    """Weight of each class by name; empty without --class-weights."""
    option, labels = config.objective.class_weights, data.preprocessor.labels
    if option is None or labels is None:
        return {}
    weights = class_weights(option, labels.names, targets[data.rows["train"], 0])
    return dict(zip(labels.names, weights, strict=True))


def losses_in_words(config: TrainConfig) -> dict[str, str]:
    """The loss of each target, for the model's record."""
    columns = config.target.metadata_column
    if config.target.classifier:
        return dict.fromkeys(columns, "cross-entropy")
    return {name: loss.in_words() for name, loss in zip(columns, config.objective.losses(columns), strict=True)}
