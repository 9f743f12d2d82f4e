"""Calibrating a model's intervals on samples set apart: see aam_data.preprocessing.conformal."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from aam_data.preprocessing.conformal import fewest_groups, fit_widening
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.requested import PREDICTION
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.evaluation.inference import run_passes
from aam_train.evaluation.validation import mean_outputs


def calibrated(
    step: Step, data: RunData, batch_size: int, passes: int, groups: Mapping[str, str | None] | None
) -> Preprocessor:
    """The preprocessor whose intervals are calibrated for the weights of now; without calibration samples as it is.

    Every checkpoint is calibrated before it is published: it is complete then, and never changes.

    Args:
        groups: of the samples by id, None where a sample has none.
    """
    rows = data.rows.get("calibration", np.zeros(0, dtype=np.int64))
    preprocessor, targets = data.preprocessor, data.maker.collator.targets
    if len(rows) == 0 or targets is None:
        return preprocessor
    step = copy.copy(step)
    step.stop = None  # a signal is why some checkpoints are written
    outputs = mean_outputs(run_passes(step, data.maker, rows, batch_size, PREDICTION, passes), is_classes=False)
    ends = np.cumsum([target.spec.width for target in preprocessor.targets])[:-1]
    of = _groups(data, rows, groups)
    parts = zip(preprocessor.targets, np.split(outputs, ends, axis=1), targets[rows].T, strict=True)
    return replace(
        preprocessor,
        targets=tuple(
            replace(target, widening=fit_widening(part, truth, target.quantiles, of)) if target.quantiles else target
            for target, part, truth in parts
        ),
    )


def few_groups(data: RunData, groups: Mapping[str, str | None] | None) -> list[str]:
    """Warnings about targets whose intervals too few groups calibrate."""
    rows = data.rows.get("calibration", np.zeros(0, dtype=np.int64))
    if len(rows) == 0:
        return []
    of, targets, notes = _groups(data, rows, groups), data.maker.collator.targets, []
    assert targets is not None
    for t, target in enumerate(data.preprocessor.targets):
        found = len(np.unique(of[np.isfinite(targets[rows, t])]))
        if len(target.quantiles) > 1 and found < (needed := fewest_groups(target.quantiles)):
            share = target.quantiles[-1] - target.quantiles[0]
            what = "samples" if groups is None else "groups"
            if found == 0:
                notes.append(
                    f"warning: no calibration sample has a value of {target.spec.name}: its intervals are as the model "
                    "gives them; raise --calibration-size"
                )
                continue
            notes.append(
                f"warning: {found} {what} calibrate the {share:.0%} interval of {target.spec.name}, and fewer than "
                f"{needed} cannot promise it: the widest that they ask for is taken; raise --calibration-size"
            )
    return notes


def _groups(data: RunData, rows: np.ndarray, groups: Mapping[str, str | None] | None) -> np.ndarray:
    """The number of the group of each sample, int64 [R]; a sample without one is a group of its own."""
    ids = data.study.table.sample_ids[rows]
    names = [(True, i) if groups is None or groups[i] is None else (False, groups[i]) for i in ids]
    number = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], dtype=np.int64)
