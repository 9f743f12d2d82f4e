"""Calibrating a model's intervals on samples set apart: see aam_data.conformal."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from aam_data.conformal import fit_widening
from aam_data.preprocessor import Preprocessor
from aam_train.inference import run_passes
from aam_train.run_data import RunData
from aam_train.step import Step
from aam_train.validation import mean_outputs


def calibrated(step: Step, data: RunData, batch_size: int, passes: int) -> Preprocessor:
    """The preprocessor whose intervals are calibrated for the weights of now; without calibration samples as it is.

    Every checkpoint is calibrated before it is published: it is complete then, and never changes.
    """
    rows = data.rows.get("calibration", np.zeros(0, dtype=np.int64))
    preprocessor, targets = data.preprocessor, data.maker.collator.targets
    if len(rows) == 0 or targets is None:
        return preprocessor
    step = copy.copy(step)
    step.stop = None  # a signal is why some checkpoints are written
    outputs = mean_outputs(run_passes(step, data.maker, rows, batch_size, passes), is_classes=False)
    ends = np.cumsum([target.spec.width for target in preprocessor.targets])[:-1]
    parts = zip(preprocessor.targets, np.split(outputs, ends, axis=1), targets[rows].T, strict=True)
    return replace(
        preprocessor,
        targets=tuple(
            replace(target, widening=fit_widening(part, truth, target.quantiles)) if target.quantiles else target
            for target, part, truth in parts
        ),
    )
