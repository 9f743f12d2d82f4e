"""What a run learns: the terms of its loss, and what must be masked and looked up for them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from aam_data.pair_targets import PairTargets
from aam_models.batch import Batch, EncoderOutput, PredictorOutput
from aam_models.encoder import Encoder
from aam_train.collate import Masking
from aam_train.losses.nucleotides import nucleotide_loss
from aam_train.losses.pairs import pair_loss
from aam_train.losses.values import class_loss, hidden_count_loss, residual_loss


@dataclass(frozen=True)
class Weights:
    """Weights of the terms; a term of weight 0 is not computed."""

    unifrac: float = 0.0
    faith_pd: float = 0.0
    nucleotides: float = 0.0
    counts: float = 0.0
    target: float = 0.0


@dataclass(frozen=True, eq=False)
class Term:
    """One term of a loss: ``sum / count`` is its value, ``weight`` its share in the total."""

    sum: Tensor
    count: Tensor
    weight: float

    def value(self) -> Tensor:
        """Mean over what was counted; 0, still connected to the graph, where nothing was."""
        return self.sum / self.count.clamp_min(1)


@dataclass(frozen=True, eq=False)
class LossBreakdown:
    """The terms that a batch had. Absent terms are absent."""

    terms: dict[str, Term] = field(default_factory=dict)

    def total(self) -> Tensor:
        return torch.stack([term.weight * term.value() for term in self.terms.values()]).sum()


@dataclass(frozen=True, eq=False)
class TrueValues:
    """What is looked up for a batch: distances [B, B] and Faith's PD [B] (own units), NaN where undefined."""

    distances: Tensor | None = None
    faith_pd: Tensor | None = None

    def to(self, device: torch.device) -> TrueValues:
        return TrueValues(*(None if t is None else t.to(device) for t in (self.distances, self.faith_pd)))


@dataclass(frozen=True, eq=False)
class TargetLoss:
    """How outputs are compared with targets.

    Attributes:
        kind: "mse", "mae", "huber" or "classes".
        spread: float32 [T] standard deviation of the training targets in transformed units; ones for classes.
    """

    kind: str
    spread: Tensor

    def __call__(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over known targets and their number; outputs [B, W], targets [B, T]."""
        if self.kind == "classes":
            return class_loss(outputs, targets[:, 0])
        spread = self.spread.to(outputs.device)
        return residual_loss(self.kind, outputs / spread, targets / spread)


@dataclass(frozen=True, eq=False)
class Objective:
    """The loss of a run.

    Attributes:
        weights: of the terms.
        masking: of training batches, for the terms that need it.
        pairs: where true distances and Faith's PD come from; None when neither is learned.
        target: None in pretraining.
    """

    weights: Weights
    masking: Masking
    pairs: PairTargets | None = None
    target: TargetLoss | None = None

    def look_up(self, batch: Batch) -> TrueValues:
        """True values of a batch, on the host."""
        rows = batch.sample_keys[:, 1].numpy()
        return TrueValues(
            distances=self._distances(rows, batch.draw) if self.weights.unifrac else None,
            faith_pd=self._faith_pd(rows, batch.draw) if self.weights.faith_pd else None,
        )

    def _distances(self, rows: np.ndarray, draw: int) -> Tensor:
        assert self.pairs is not None
        return torch.from_numpy(self.pairs.pairs(rows, rows, draw))

    def _faith_pd(self, rows: np.ndarray, draw: int) -> Tensor:
        assert self.pairs is not None
        return torch.from_numpy(self.pairs.values(rows, draw))

    def encoder_terms(
        self, encoder: Encoder, encoded: EncoderOutput, batch: Batch, true: TrueValues
    ) -> dict[str, Term]:
        """Terms on the encoder's outputs."""
        terms = {}
        if true.distances is not None and encoder.distance_head is not None:
            pairs = pair_loss(encoder.distance_head, encoded.sample_embeddings, true.distances)
            terms["unifrac"] = Term(*pairs, self.weights.unifrac)
        if true.faith_pd is not None and encoded.faith_pd is not None and encoder.faith_pd_head is not None:
            target = encoder.faith_pd_head.standardize(true.faith_pd)
            terms["faith_pd"] = Term(*residual_loss("mse", encoded.faith_pd, target), self.weights.faith_pd)
        if self.weights.nucleotides and encoded.nucleotide_logits is not None:
            terms["nucleotides"] = Term(*nucleotide_loss(encoded.nucleotide_logits, batch), self.weights.nucleotides)
        if self.weights.counts and encoded.log_abundance is not None:
            terms["counts"] = Term(*hidden_count_loss(encoded.log_abundance, batch), self.weights.counts)
        return terms

    def target_terms(self, predicted: PredictorOutput, batch: Batch) -> dict[str, Term]:
        """Terms on the predictor's outputs."""
        assert self.target is not None
        assert batch.targets is not None
        return {"target": Term(*self.target(predicted.outputs, batch.targets), self.weights.target)}
