"""Masked bases: predict the bases of a sequence that are hidden. Axes: M masked bases, U distinct ASVs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aam_models.batch.batch import Batch, EncoderOutput
from aam_models.encoder.encoder import Encoder
from aam_models.requested import RequestedOutputs, requested_heads
from aam_train.data.corruptions import base_corruptions
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.evaluation.inference import SampleOutputs, predict_masked_bases
from aam_train.losses.objective import TrueValues
from aam_train.losses.occurrences import occurrences
from aam_train.objectives.base import Gather, PretrainingObjective, SampleSet, Sources, Validated


class MaskedBasesObjective(PretrainingObjective):
    """Cross-entropy of masked bases; an ASV counts once for each sample that it occurs in."""

    name = "nucleotides"
    trains = frozenset()
    encodes_asvs = False

    def __init__(self, weight: float, sources: Sources) -> None:
        super().__init__(weight, sources)
        self.corruptions = base_corruptions(sources.masking)

    @property
    def reads(self) -> RequestedOutputs:
        """Logits of masked bases."""
        return requested_heads(self.name)

    def count(self, batch: Batch, true: TrueValues) -> float:
        """Count the masked bases of all occurrences."""
        return count_masked(batch)

    def loss(
        self, encoder: Encoder, encoded: EncoderOutput, batch: Batch, true: TrueValues, gather: Gather | None
    ) -> Tensor | None:
        """Return the summed cross-entropy."""
        logits = encoded.predictions.get(self.name)
        return None if logits is None else nucleotide_loss(logits, batch)

    def validate(self, step: Step, samples: SampleSet, outputs: SampleOutputs | None) -> Validated:
        """Predict masked bases of every ASV of the samples once."""
        _, _, base, logits = predict_masked_bases(step, samples.maker, samples.asv_rows, self.corruptions)
        accuracy = float((logits.argmax(axis=1) == base).mean())
        loss = float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(base)))
        return Validated({"nucleotide_accuracy": accuracy}, loss)

    def report(self, step: Step, data: RunData, result: Validated, folder: Path | None) -> dict[str, Any]:
        """Compute accuracy on ASVs that no training sample has, next to the most common base of each position."""
        seen = data.observed_asvs("train")
        novel = np.setdiff1d(data.drawn_asvs("test"), seen)
        if len(novel) == 0:
            return {"novel_asvs": {"count": 0}}
        _, position, base, logits = predict_masked_bases(step, data.maker, novel, self.corruptions)
        majority = majority_bases(data, seen)
        return {
            "novel_asvs": {
                "count": len(novel),
                "nucleotide_accuracy": float((logits.argmax(axis=1) == base).mean()),
                "majority_accuracy": float((majority[position] == base).mean()),
            }
        }

    @classmethod
    def describe(cls, results: Mapping[str, Any]) -> list[str]:
        """Report accuracy on new ASVs."""
        novel = results.get("novel_asvs", {})
        if not novel.get("count"):
            return []
        return [
            f"masked bases of {novel['count']:,} ASVs absent from training: {novel['nucleotide_accuracy']:.1%} correct "
            f"(most common base of each position: {novel['majority_accuracy']:.1%})"
        ]


def nucleotide_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Sum the cross-entropy of masked bases, each ASV weighted by the samples it occurs in; a scalar.

    The loss is thus that of encoding every occurrence, whichever samples share the ASV.

    Args:
        logits: [M, n_bases].
    """
    weights = occurrences(batch)[batch.masked_rows]
    return (F.cross_entropy(logits, batch.masked_bases, reduction="none") * weights).sum()


def count_masked(batch: Batch) -> float:
    """Count the masked bases of all occurrences; ``batch`` is on the host."""
    return float(occurrences(batch)[batch.masked_rows].sum())


def majority_bases(data: RunData, asv_rows: np.ndarray) -> np.ndarray:
    """Return the most common base (0-3) at each position of these ASVs, int64 [max_bp]."""
    codes = data.study.sequences.codes[asv_rows, : data.preprocessor.max_bp]
    return np.stack([(codes == base).sum(axis=0) for base in range(1, 5)]).argmax(axis=0)
