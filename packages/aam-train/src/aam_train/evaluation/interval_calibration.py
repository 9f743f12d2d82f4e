"""Calibration of a model's intervals on samples set apart, see aam_data.preprocessing.conformal."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from aam_data.preprocessing.conformal import fit_widening, min_groups
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.splits.strata import group_codes
from aam_models.requested import PREDICTION
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.evaluation.inference import run_passes
from aam_train.evaluation.validation import mean_outputs


def calibrate_intervals(
    step: Step, data: RunData, batch_size: int, passes: int, groups: Mapping[str, str | None] | None
) -> Preprocessor:
    """Return the preprocessor with intervals calibrated for the current weights; unchanged without calibration samples.

    Every checkpoint is calibrated before it is published, since a published checkpoint never changes.

    Args:
        groups: group of each sample by id, None for a sample without one.
    """
    rows = data.rows.get("calibration", np.zeros(0, dtype=np.int64))
    preprocessor, targets = data.preprocessor, data.maker.collator.targets
    if len(rows) == 0 or targets is None:
        return preprocessor
    step = copy.copy(step)
    step.stop = None  # the checkpoint may be written because of a signal
    outputs = mean_outputs(run_passes(step, data.maker, rows, batch_size, PREDICTION, passes), is_classes=False)
    ends = np.cumsum([target.spec.width for target in preprocessor.targets])[:-1]
    codes = _codes_of_groups(data, rows, groups)
    columns = zip(preprocessor.targets, np.split(outputs, ends, axis=1), targets[rows].T, strict=True)
    targets_of_model = tuple(
        replace(target, widening=fit_widening(predicted, truth, target.quantiles, codes))
        if target.quantiles
        else target
        for target, predicted, truth in columns
    )
    return replace(preprocessor, targets=targets_of_model)


def calibration_warnings(data: RunData, groups: Mapping[str, str | None] | None) -> list[str]:
    """Return warnings about targets that have too few groups to calibrate their intervals."""
    rows = data.rows.get("calibration", np.zeros(0, dtype=np.int64))
    if len(rows) == 0:
        return []
    codes, targets, notes = _codes_of_groups(data, rows, groups), data.maker.collator.targets, []
    assert targets is not None
    for t, target in enumerate(data.preprocessor.targets):
        n_groups = len(np.unique(codes[np.isfinite(targets[rows, t])]))
        if len(target.quantiles) > 1 and n_groups < (needed := min_groups(target.quantiles)):
            share = target.quantiles[-1] - target.quantiles[0]
            what = "samples" if groups is None else "groups"
            if n_groups == 0:
                notes.append(
                    f"warning: no calibration sample has a value of {target.spec.name}: its intervals are not "
                    "calibrated; raise --calibration-size"
                )
                continue
            notes.append(
                f"warning: {n_groups} {what} calibrate the {share:.0%} interval of {target.spec.name}; fewer than "
                f"{needed} cannot guarantee its coverage, so the widest residual is used; raise --calibration-size"
            )
    return notes


def _codes_of_groups(data: RunData, rows: np.ndarray, groups: Mapping[str, str | None] | None) -> np.ndarray:
    """Return the number of each sample's group, int64 [R]; a sample without a group is a group of its own."""
    return group_codes([(groups or {}).get(i) for i in data.study.table.sample_ids[rows]])
