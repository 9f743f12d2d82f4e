"""What a run learns: the terms of its loss, and what must be masked and looked up for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from aam_data.options.files import PhylogeneticTarget
from aam_data.unifrac.pair_targets import PairTargets
from aam_models.batch.batch import Batch, EncoderOutput, PredictorOutput
from aam_models.encoder.encoder import Encoder
from aam_models.requested import Outputs
from aam_train.data.collate import Masking
from aam_train.losses.distance_loss import count_pairs, pair_loss
from aam_train.losses.expert_balance import balance_loss
from aam_train.losses.nucleotides import count_masked, nucleotide_loss
from aam_train.losses.targets import TargetLoss
from aam_train.losses.taxa import count_taxa, taxonomy_loss
from aam_train.losses.value_losses import count_hidden, count_known, hidden_count_loss, squared_errors
from aam_train.options.objective import MaskingOptions

Counts = dict[str, float]  # by term: what its sum is divided by, over all micro-batches of a step


@dataclass(frozen=True)
class Weights:
    """Weights of the terms; a term of weight 0 is not computed."""

    unifrac: float = 0.0
    faith_pd: float = 0.0
    nucleotides: float = 0.0
    counts: float = 0.0
    taxonomy: float = 0.0
    target: float = 0.0
    balance: float = 0.0


@dataclass(frozen=True, eq=False)
class Term:
    """One term of a loss: ``sum / count`` is its value, ``weight`` its share in the total.

    ``count`` is that of the whole step, known on the host before the first forward pass: so the values of a step's
    micro-batches add up to the mean over all of them, and so do their gradients.
    """

    sum: Tensor
    count: float
    weight: float

    def value(self) -> Tensor:
        """Mean over what was counted; 0, still connected to the graph, where nothing was."""
        return self.sum / (self.count or 1.0)


@dataclass(frozen=True, eq=False)
class LossBreakdown:
    """The terms that a batch had. Absent terms are absent.

    Attributes:
        sound: bool scalar on the device, whether this process's own embeddings are finite: distances to another's that
            are not say nothing about its own.
    """

    terms: dict[str, Term] = field(default_factory=dict)
    sound: Tensor = field(default_factory=lambda: torch.tensor(True))

    def total(self) -> Tensor:
        return torch.stack([term.weight * term.value() for term in self.terms.values()]).sum()


@dataclass(frozen=True, eq=False)
class TrueValues:
    """What is looked up for a batch, NaN where undefined.

    Attributes:
        distances: float32 [B, N], to the samples of all processes.
        faith_pd: float32 [B], in its own units.
        sizes: samples of each process, N in all.
        first: which of the N is the batch's first.
    """

    distances: Tensor | None = None
    faith_pd: Tensor | None = None
    sizes: tuple[int, ...] = ()
    first: int = 0

    def to(self, device: torch.device) -> TrueValues:
        """On another device; from page-locked memory, so that nothing waits for the copy."""

        def move(values: Tensor | None) -> Tensor | None:
            if values is None or device.type != "cuda":
                return None if values is None else values.to(device)
            return values.pin_memory().to(device, non_blocking=True)

        return replace(self, distances=move(self.distances), faith_pd=move(self.faith_pd))


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

    @property
    def outputs(self) -> Outputs:
        """What of the model the terms read."""
        weights = self.weights
        return Outputs(
            nucleotides=weights.nucleotides > 0,
            log_abundance=weights.counts > 0,
            taxonomy=weights.taxonomy > 0,
            faith_pd=weights.faith_pd > 0,
            prediction=self.target is not None,
        )

    def look_up(self, batch: Batch, everyone: Sequence[np.ndarray] | None = None, rank: int = 0) -> TrueValues:
        """True values of a batch, on the host.

        Args:
            everyone: rows of the samples that each process has in this micro-batch; the batch's alone by default.
            rank: which of them are the batch's.
        """
        rows = batch.sample_keys[:, 1].numpy()
        everyone = [rows] if everyone is None else everyone
        sizes = tuple(len(of_one) for of_one in everyone)
        others = np.concatenate(everyone) if self.weights.unifrac else rows
        return TrueValues(
            distances=self._distances(rows, others, batch.draw) if self.weights.unifrac else None,
            faith_pd=self._faith_pd(rows, batch.draw) if self.weights.faith_pd else None,
            sizes=sizes,
            first=sum(sizes[:rank]),
        )

    def _distances(self, rows: np.ndarray, others: np.ndarray, draw: int) -> Tensor:
        assert self.pairs is not None
        return torch.from_numpy(self.pairs.pairs(rows, others, draw))

    def _faith_pd(self, rows: np.ndarray, draw: int) -> Tensor:
        assert self.pairs is not None
        return torch.from_numpy(self.pairs.values(rows, draw))

    def counts(self, batch: Batch, true: TrueValues) -> Counts:
        """What each term of a batch is divided by: its pairs, masked bases, hidden counts; of targets the sum of their
        samples' weights. All on the host."""
        found: Counts = {}
        if true.distances is not None:
            found["unifrac"] = count_pairs(true.distances, true.first)
        if true.faith_pd is not None:
            found["faith_pd"] = count_known(true.faith_pd)
        if self.weights.nucleotides:
            found["nucleotides"] = count_masked(batch)
        if self.weights.counts:
            found["counts"] = count_hidden(batch)
        if self.weights.taxonomy:
            found["taxonomy"] = count_taxa(batch)
        if batch.targets is not None and self.target is not None:
            found["target"] = self.target.count(batch.targets, batch.sample_weights)
        if self.weights.balance:
            found["balance"] = batch.n_samples
        return found

    def encoder_terms(
        self,
        encoder: Encoder,
        encoded: EncoderOutput,
        batch: Batch,
        true: TrueValues,
        counts: Counts,
        gather: Callable[[Tensor, Sequence[int]], Tensor] | None = None,
    ) -> dict[str, Term]:
        """Terms on the encoder's outputs.

        Args:
            counts: those of the whole step.
            gather: gives embeddings of all processes; None where there is one.
        """
        terms = {}
        if true.distances is not None and encoder.distance_head is not None:
            own = encoded.sample_embeddings
            everyone = own if gather is None else gather(own, true.sizes)
            pairs = pair_loss(encoder.distance_head, own, true.distances, everyone, true.first)
            terms["unifrac"] = Term(pairs, counts["unifrac"], self.weights.unifrac)
        if true.faith_pd is not None and encoded.faith_pd is not None and encoder.faith_pd_head is not None:
            target = encoder.faith_pd_head.standardize(true.faith_pd)
            values = squared_errors(encoded.faith_pd, target)
            terms["faith_pd"] = Term(values, counts["faith_pd"], self.weights.faith_pd)
        if self.weights.nucleotides and encoded.nucleotide_logits is not None:
            bases = nucleotide_loss(encoded.nucleotide_logits, batch)
            terms["nucleotides"] = Term(bases, counts["nucleotides"], self.weights.nucleotides)
        if self.weights.counts and encoded.log_abundance is not None:
            hidden = hidden_count_loss(encoded.log_abundance, batch)
            terms["counts"] = Term(hidden, counts["counts"], self.weights.counts)
        if self.weights.taxonomy and encoded.taxonomy_logits is not None:
            taxa = taxonomy_loss(encoded.taxonomy_logits, encoder.config.taxonomy_classes, batch)
            terms["taxonomy"] = Term(taxa, counts["taxonomy"], self.weights.taxonomy)
        return terms

    def target_terms(
        self,
        predicted: PredictorOutput,
        batch: Batch,
        true: TrueValues,
        counts: Counts,
        gather: Callable[[Tensor, Sequence[int]], Tensor] | None = None,
    ) -> dict[str, Term]:
        """Terms on the predictor's outputs; see `encoder_terms`."""
        assert self.target is not None
        assert batch.targets is not None
        values = self.target.sum(predicted.outputs, batch.targets, batch.sample_weights)
        terms = {"target": Term(values, counts["target"], self.weights.target)}
        if self.weights.balance and predicted.routing is not None:
            everyone = predicted.routing if gather is None else gather(predicted.routing, true.sizes)
            balance = balance_loss(predicted.routing, everyone)
            terms["balance"] = Term(balance, counts["balance"], self.weights.balance)
        return terms


def phylogenetic_weights(metric: PhylogeneticTarget, penalty: float) -> dict[str, float]:
    """Weights of distances and of Faith's PD: of one of them, or of both."""
    return {
        "unifrac": 0.0 if metric == "faith_pd" else penalty,
        "faith_pd": penalty if metric in ("faith_pd", "combined") else 0.0,
    }


def masking_for(weights: Weights, options: MaskingOptions) -> Masking:
    """What training batches hide and look up: only what some term predicts."""
    return Masking(
        nucleotide_ratio=options.nuc_mask_ratio if weights.nucleotides else 0.0,
        count_ratio=options.count_mask_ratio if weights.counts else 0.0,
        strategy=options.nuc_mask_strategy,
        taxa=weights.taxonomy > 0,
    )
