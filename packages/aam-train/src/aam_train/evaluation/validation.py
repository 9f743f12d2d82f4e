"""Validation of a predictor: whole sets of samples at once, so that the size of batches does not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import torch

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.requested import PREDICTION
from aam_train.data.loading import BatchMaker
from aam_train.engine.step import Step
from aam_train.evaluation.inference import SampleOutputs, run_passes
from aam_train.evaluation.metrics import classification_metrics, mean_of_defined, probabilities
from aam_train.evaluation.predictions import (
    Predictions,
    is_known,
    log_targets,
    make_predictions,
    number_metrics,
    suffix_of,
)
from aam_train.losses.targets import TargetLoss
from aam_train.reporting.records import Plots


class Validator(Protocol):
    """A function that computes the metrics of a model; ``val_loss`` is always among them."""

    def __call__(self, step: Step) -> dict[str, float]: ...


@dataclass(frozen=True, eq=False)
class PredictorValidator:
    """Computes the loss, weighted as in training, and the metrics of the targets, in their own units.

    Attributes:
        rows: int64 [R] rows of the samples to validate on.
        scales: int64 [R, T] of these samples, see `Preprocessor.scales_of`.
        passes: fixed draws of the samples whose outputs are averaged.
        last: predictions and true values [R, T] of the last validation, for plots; empty before the first.
    """

    maker: BatchMaker
    target: TargetLoss
    preprocessor: Preprocessor
    rows: np.ndarray
    scales: np.ndarray
    batch_size: int
    passes: int = 1
    last: list[tuple[Predictions, np.ndarray]] = field(default_factory=list, init=False)

    def plots(self) -> Plots:
        """Return the plots of the last validation by name: all validation samples, of all processes, in their own
        units; a scatter plot for each numeric target, or a confusion matrix."""
        from aam_train.evaluation.plots import plot_target

        if not self.last:
            return {}
        predictions, truth = self.last[0]
        logarithmic = log_targets(self.preprocessor)
        kind = "confusion" if predictions.classes else "predicted_vs_true"
        return {
            f"{kind}{suffix_of(predictions.names, t)}": partial(
                plot_target,
                predictions=predictions,
                truth=truth,
                target=t,
                title="validation samples",
                log=name in logarithmic,
            )
            for t, name in enumerate(predictions.names)
            if is_known(truth[:, t]).any()
        }

    def __call__(self, step: Step) -> dict[str, float]:
        assert self.maker.collator.targets is not None
        passes = run_passes(step, self.maker, self.rows, self.batch_size, PREDICTION, self.passes)
        outputs = mean_outputs(passes, is_classes=self.preprocessor.labels is not None)
        targets = self.maker.collator.targets[self.rows]
        loss = self.target
        every_weight = self.maker.collator.sample_weights
        on_host = [torch.from_numpy(outputs), torch.from_numpy(targets)]
        on_host += [] if every_weight is None else [torch.from_numpy(every_weight[self.rows])]
        value = loss.sum(*(each.to(step.device) for each in on_host)).item() / (loss.count(*on_host[1:]) or 1.0)
        self._keep(outputs, targets)
        metrics = {"val_loss": value, **target_metrics(self.preprocessor, targets, outputs, self.scales)}
        return metrics | expert_use(passes)

    def _keep(self, outputs: np.ndarray, targets: np.ndarray) -> None:
        ids, labels = self.maker.samples.study.table.sample_ids[self.rows], self.preprocessor.labels
        if labels is None:
            truth = self.preprocessor.invert(targets, self.scales)
        else:
            known = np.isfinite(targets)
            truth = np.full(targets.shape, None, dtype=object)
            truth[known] = labels.decode(targets[known].astype(np.int64))
        self.last[:] = [(make_predictions(self.preprocessor, ids, outputs, self.scales), truth)]


def target_metrics(
    preprocessor: Preprocessor, targets: np.ndarray, outputs: np.ndarray, scales: np.ndarray | None = None
) -> dict[str, float]:
    """Compute metrics in the targets' own units; for several targets their means, and each one's as ``r2:column``.

    Args:
        targets: [R, T] in transformed units or class codes, NaN = missing.
        outputs: [R, W] in transformed units or logits.
        scales: [R, T] of the samples, see `Preprocessor.invert`.
    """
    if preprocessor.labels is not None:
        known = np.isfinite(targets[:, 0])
        return classification_metrics(targets[known, 0].astype(np.int64), probabilities(outputs[known]))
    truth = preprocessor.invert(targets, scales)
    predicted = make_predictions(preprocessor, np.arange(len(truth)), outputs, scales)
    each = [number_metrics(truth[:, t], predicted, t) for t in range(truth.shape[1])]
    if len(each) == 1:
        return each[0]
    named = zip(preprocessor.targets, each, strict=True)
    shared = [name for name in each[0] if all(name in m for m in each)]
    means = {name: mean_of_defined([m[name] for m in each]) for name in shared}
    return means | {f"{name}:{target.spec.name}": value for target, m in named for name, value in m.items()}


def expert_use(passes: Sequence[SampleOutputs]) -> dict[str, float]:
    """Compute the mean share of each expert as ``expert_use:1``, and their effective number; {} without experts.

    ``experts_used`` is ``1 / sum p_k^2``: K when all are used alike, 1 when one does everything.
    """
    routing = [one.routing for one in passes if one.routing is not None]
    if not routing:
        return {}
    shares = np.concatenate(routing).mean(axis=0, dtype=np.float64)
    each = {f"expert_use:{number}": float(share) for number, share in enumerate(shares, 1)}
    return {"experts_used": float(1 / np.square(shares).sum()), **each}


def mean_outputs(passes: Sequence[SampleOutputs], *, is_classes: bool) -> np.ndarray:
    """Average outputs [R, W] over passes: in transformed units, or as logarithms of mean probabilities."""
    outputs = [one.outputs for one in passes if one.outputs is not None]
    assert len(outputs) == len(passes)
    if len(outputs) == 1:
        return outputs[0]
    if is_classes:
        return np.log(np.mean([probabilities(logits) for logits in outputs], axis=0)).astype(np.float32)
    return np.stack(outputs).mean(axis=0, dtype=np.float64).astype(np.float32)
