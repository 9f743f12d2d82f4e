"""Layout of a predictor's outputs, from what was fitted for its targets. Axes: R samples, T targets, W outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from aam_data.errors import DataError
from aam_data.preprocessing.preprocessor import Preprocessor


@dataclass(frozen=True)
class OutputLayout:
    """Layout of the outputs for T numeric targets, or for one class.

    Attributes:
        out_width: W, all outputs.
        widths: outputs of each numeric target; empty for classes.
        anchors: position of the median among them.
        floors: 0 of the target's own units, in transformed ones.
        low, high: range of the training values, in transformed units.
    """

    out_width: int
    widths: tuple[int, ...] = ()
    anchors: tuple[int, ...] = ()
    floors: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @classmethod
    def from_preprocessor(cls, preprocessor: Preprocessor, targets: np.ndarray) -> Self:
        """Derive the layout from the transformed training values [R, T] of the targets, NaN = missing."""
        widths = tuple(target.spec.width for target in preprocessor.targets)
        if preprocessor.labels is not None:
            return cls(sum(widths))
        transforms = [target.transform for target in preprocessor.targets]
        return cls(
            sum(widths),
            widths,
            tuple(target.quantiles.index(0.5) if target.quantiles else 0 for target in preprocessor.targets),
            tuple(float(t.apply(np.zeros(1))[0]) for t in transforms if t is not None),
            tuple(np.nanmin(targets, axis=0).tolist()),
            tuple(np.nanmax(targets, axis=0).tolist()),
        )


def check_out_dim(out_dim: int | None, preprocessor: Preprocessor) -> None:
    """Reject an --out-dim that the data contradict; of quantiles the number of targets is accepted too."""
    width, n_targets = sum(target.spec.width for target in preprocessor.targets), len(preprocessor.targets)
    fits = {width} if preprocessor.labels is not None else {width, n_targets}
    if out_dim is not None and out_dim not in fits:
        what = f"{width} classes" if preprocessor.labels is not None else f"{n_targets} numbers"
        raise DataError(
            f"--out-dim {out_dim}: the data have {what}, so the model has {width} outputs",
            code="option-output-width",
            remedy="Leave --out-dim out: it follows from the data",
        )


def check_signs(preprocessor: Preprocessor, values: dict[str, np.ndarray], activation: str) -> None:
    """Reject an --output-activation for training values [R] (own units) below 0, which could not be predicted."""
    for target in preprocessor.targets:
        below = values[target.spec.name][values[target.spec.name] < 0]
        if activation != "none" and len(below):
            raise DataError(
                f"--output-activation {activation} predicts nothing below 0",
                code="target-below-range",
                place=f"column {target.spec.name}",
                offenders=below.tolist(),
                remedy="Leave it out, or use --bounded-targets to keep to the range of the training values",
            )
