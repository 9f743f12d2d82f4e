"""Taxonomy: predict the taxon of each ASV at every rank. Axes: A ASVs, U distinct ASVs of a batch, R ranks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from aam_models.batch.batch import Batch, EncoderOutput
from aam_models.encoder.encoder import Encoder
from aam_models.requested import RequestedOutputs, requested_heads
from aam_train.data.corruptions import LookUpTaxa
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.evaluation.inference import SampleOutputs, predict_taxa
from aam_train.losses.objective import EncoderPart, TrueValues
from aam_train.losses.occurrences import occurrences
from aam_train.objectives.base import Gather, PretrainingObjective, SampleSet, Sources, Validated


class TaxonomyObjective(PretrainingObjective):
    """Cross-entropy of known taxa at all ranks; an ASV counts once for each sample that it occurs in."""

    name = "taxonomy"
    trains = frozenset({EncoderPart.ASV_POOLING})
    corruptions = (LookUpTaxa(),)  # hides nothing: looks up the taxa of a batch's ASVs

    @classmethod
    def is_evaluable(cls, sources: Sources) -> bool:
        """Return False: `aam evaluate` reads no taxonomy."""
        return False

    @property
    def reads(self) -> RequestedOutputs:
        """Logits of taxa."""
        return requested_heads(self.name)

    def count(self, batch: Batch, true: TrueValues) -> float:
        """Count the known taxa of all occurrences and ranks."""
        return count_taxa(batch)

    def loss(
        self, encoder: Encoder, encoded: EncoderOutput, batch: Batch, true: TrueValues, gather: Gather | None
    ) -> Tensor | None:
        """Return the summed cross-entropy."""
        logits = encoded.predictions.get(self.name)
        return None if logits is None else taxonomy_loss(logits, encoder.config.taxonomy_classes, batch)

    def validate(self, step: Step, samples: SampleSet, outputs: SampleOutputs | None) -> Validated:
        """Predict the known taxa of every ASV of the samples once; also accuracy by rank, as ``name:rank``."""
        taxa = samples.maker.collator.taxa
        assert taxa is not None
        codes, by_rank = taxa[samples.asv_rows], {}
        best, cross_entropy = predict_taxa(step, samples.maker, samples.asv_rows)
        right, known = best == codes, codes >= 0
        for rank in range(codes.shape[1]):
            right_here = right[known[:, rank], rank]
            by_rank[f"taxonomy_accuracy:{rank + 1}"] = float(right_here.mean()) if len(right_here) else float("nan")
        n_known = max(int(known.sum()), 1)
        loss = float(cross_entropy.sum(dtype=np.float64)) / n_known
        return Validated({"taxonomy_accuracy": float(right.sum() / n_known), **by_rank}, loss)

    def report(self, step: Step, data: RunData, result: Validated, folder: Path | None) -> dict[str, Any]:
        """Compute accuracy by rank on ASVs that no training sample has, next to the most common training taxon."""
        taxa = data.maker.collator.taxa
        assert taxa is not None
        seen = data.observed_asvs("train")
        novel = np.setdiff1d(data.drawn_asvs("test"), seen)
        ranks: list[dict[str, float]] = []
        if len(novel) == 0:
            return {"taxonomy": ranks}
        best, _ = predict_taxa(step, data.maker, novel)
        for rank, width in enumerate(data.taxonomy_classes):
            truth = taxa[novel, rank]
            known = truth >= 0
            if not known.any():
                continue
            codes = taxa[seen, rank]
            majority = np.bincount(codes[codes >= 0], minlength=width).argmax()
            row: dict[str, float] = {"rank": rank + 1, "taxa": width, "asvs": int(known.sum())}
            row["accuracy"] = float((best[known, rank] == truth[known]).mean())
            row["majority_accuracy"] = float((truth[known] == majority).mean())
            ranks.append(row)
        return {"taxonomy": ranks}

    @classmethod
    def describe(cls, results: Mapping[str, Any]) -> list[str]:
        """Report accuracy on new ASVs by rank."""
        return [
            f"taxa of rank {rank['rank']}, {rank['asvs']:,} ASVs absent from training: {rank['accuracy']:.1%} correct "
            f"(most common taxon: {rank['majority_accuracy']:.1%})"
            for rank in results.get("taxonomy", [])
        ]


def taxonomy_loss(logits: Tensor, widths: tuple[int, ...], batch: Batch) -> Tensor:
    """Sum the cross-entropy of known taxa at all ranks, each ASV weighted by the samples it occurs in; a scalar.

    Args:
        logits: [U, sum of widths], the taxa of all ranks one after the other.
        widths: number of taxa by rank.
        batch: its ``taxa`` are int64 [U, R], -1 = unknown.
    """
    assert batch.taxa is not None
    weights = occurrences(batch)
    total = logits.new_zeros(())
    for rank, scores in enumerate(logits.split(widths, dim=1)):
        each = F.cross_entropy(scores, batch.taxa[:, rank], ignore_index=-1, reduction="none")
        total = total + (each * weights).sum()
    return total


def count_taxa(batch: Batch) -> float:
    """Count the known taxa of all occurrences and ranks; ``batch`` is on the host."""
    if batch.taxa is None:
        return 0.0
    return float(((batch.taxa >= 0) * occurrences(batch)[:, None]).sum())
