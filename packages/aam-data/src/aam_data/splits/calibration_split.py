"""Samples that calibrate intervals, taken from those that would train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aam_data.options.files import SplitOptions
from aam_data.splits.splits import Splits, split_samples


def with_calibration(splits: Splits, share: float, seed: int, groups: Mapping[str, str | None] | None) -> Splits:
    """The same split with a share of its training samples set apart, whole groups at a time.

    A split that has calibration samples already (``--splits-from`` of another run) keeps them.

    Raises:
        DataError: the training samples are too few, or of a single group.
    """
    if splits.calibration:
        return splits
    train_groups = None if groups is None else [groups[i] for i in splits.train]
    inner = split_samples(splits.train, SplitOptions(test_size=0.0, val_size=share), seed, train_groups)
    return replace(splits, train=inner.train, calibration=inner.validation)


def without_calibration(splits: Splits) -> Splits:
    """The same split where nothing is calibrated: such samples train."""
    return replace(splits, train=tuple(sorted(splits.train + splits.calibration)), calibration=())
