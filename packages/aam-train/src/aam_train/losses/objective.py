"""The loss of a run: terms on the encoder, a target, weights.

Axes: B samples of this process, N samples of all processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import reduce
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from aam_models.batch.batch import Batch, EncoderOutput, PredictorOutput
from aam_models.encoder.encoder import Encoder
from aam_models.requested import RequestedOutputs
from aam_train.data.corruptions import Corruptions
from aam_train.losses.expert_balance import balance_loss
from aam_train.losses.targets import TargetLoss

Counts = dict[str, float]  # by term: what its sum is divided by, over all micro-batches of a step


class EncoderPart(Enum):
    """A part of the encoder that some losses reach and others do not."""

    ASV_POOLING = "asv_encoder.pooling"
    SAMPLE_LEVEL = "sample_encoder"
    SAMPLE_POOLING = "sample_encoder.pooling"


EVERY_PART = frozenset(EncoderPart)


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
        """Return the mean over what was counted; 0, still connected to the graph, where nothing was."""
        return self.sum / (self.count or 1.0)


@dataclass(frozen=True, eq=False)
class LossBreakdown:
    """The terms of a batch's loss; a term without anything to predict is absent.

    Attributes:
        sound: bool scalar on the device, whether this process's own embeddings are finite: distances to
            another process's embeddings that are not finite say nothing about its own.
    """

    terms: dict[str, Term] = field(default_factory=dict)
    sound: Tensor = field(default_factory=lambda: torch.tensor(True))

    def total(self) -> Tensor:
        """Return the weighted sum of all terms."""
        return torch.stack([term.weight * term.value() for term in self.terms.values()]).sum()


@dataclass(frozen=True, eq=False)
class TrueValues:
    """Values that are looked up for a batch.

    Attributes:
        values: by objective, float32, NaN where undefined.
        sizes: samples of each process, N in all.
        first: position of the batch's first sample among the N.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    sizes: tuple[int, ...] = ()
    first: int = 0

    def to(self, device: torch.device) -> TrueValues:
        """Copy to another device; from page-locked memory, so that nothing waits for the copy."""

        def move(values: Tensor) -> Tensor:
            if device.type != "cuda":
                return values.to(device)
            return values.pin_memory().to(device, non_blocking=True)

        return replace(self, values={name: move(values) for name, values in self.values.items()})


class EncoderTerm(Protocol):
    """The part of a pretraining objective that training needs; see `aam_train.objectives.base`."""

    @property
    def name(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def trains(self) -> frozenset[EncoderPart]: ...
    @property
    def gathers(self) -> bool: ...
    @property
    def reads(self) -> RequestedOutputs: ...
    @property
    def corruptions(self) -> Corruptions: ...
    def look_up(self, rows: np.ndarray, everyone: np.ndarray, draw: int) -> Tensor | None: ...
    def count(self, batch: Batch, true: TrueValues) -> float: ...
    def loss(
        self,
        encoder: Encoder,
        encoded: EncoderOutput,
        batch: Batch,
        true: TrueValues,
        gather: Callable[[Tensor, Sequence[int]], Tensor] | None,
    ) -> Tensor | None: ...


@dataclass(frozen=True, eq=False)
class TargetTerm:
    """The loss of the targets, and the loss that balances the experts of a mixture.

    Attributes:
        balance_weight: 0 without a mixture of experts.
    """

    loss: TargetLoss
    weight: float = 1.0
    balance_weight: float = 0.0


@dataclass(frozen=True, eq=False)
class Objective:
    """The loss of a run.

    Attributes:
        encoder: terms on the encoder's outputs, in the order of their table.
        target: None in pretraining.
    """

    encoder: tuple[EncoderTerm, ...] = ()
    target: TargetTerm | None = None

    @property
    def outputs(self) -> RequestedOutputs:
        """The outputs of the model that the terms read."""
        reads = [RequestedOutputs(prediction=self.target is not None), *(term.reads for term in self.encoder)]
        return reduce(RequestedOutputs.union, reads)

    @property
    def corruptions(self) -> Corruptions:
        """Changes to training batches: they hide and look up only what some term predicts."""
        return tuple(corruption for term in self.encoder for corruption in term.corruptions)

    @property
    def trains(self) -> frozenset[EncoderPart]:
        """Parts of the encoder that some gradient reaches."""
        target = EVERY_PART if self.target is not None and self.target.weight else frozenset()
        return target.union(*(term.trains for term in self.encoder))

    @property
    def needs_pairs(self) -> bool:
        """True if a loss compares samples, so that a micro-batch needs two of them."""
        return any(term.gathers for term in self.encoder)

    @property
    def gathered(self) -> frozenset[str]:
        """Names of the losses of a process that depend on the samples of others."""
        return frozenset({"balance", *(term.name for term in self.encoder if term.gathers)})

    def look_up(self, batch: Batch, everyone: Sequence[np.ndarray] | None = None, rank: int = 0) -> TrueValues:
        """Look up the true values of a batch, on the host.

        Args:
            everyone: rows of the samples that each process has in this micro-batch; the batch's alone by default.
            rank: of this process among them.
        """
        rows = batch.sample_keys[:, 1].numpy()
        everyone = [rows] if everyone is None else everyone
        sizes = tuple(len(each) for each in everyone)
        others = np.concatenate(everyone) if len(everyone) > 1 else rows
        looked_up = {term.name: term.look_up(rows, others, batch.draw) for term in self.encoder}
        values = {name: value for name, value in looked_up.items() if value is not None}
        return TrueValues(values, sizes, sum(sizes[:rank]))

    def counts(self, batch: Batch, true: TrueValues) -> Counts:
        """Count what the sum of each term is divided by, for one batch on the host.

        Pairs, masked bases, hidden counts, taxa; for targets the summed weights of their samples.
        """
        counts: Counts = {term.name: term.count(batch, true) for term in self.encoder}
        if self.target is not None:
            if batch.targets is not None:
                counts["target"] = self.target.loss.count(batch.targets, batch.sample_weights)
            if self.target.balance_weight:
                counts["balance"] = batch.n_samples
        return counts

    def encoder_terms(
        self,
        encoder: Encoder,
        encoded: EncoderOutput,
        batch: Batch,
        true: TrueValues,
        counts: Counts,
        gather: Callable[[Tensor, Sequence[int]], Tensor] | None = None,
    ) -> dict[str, Term]:
        """Compute the terms on the encoder's outputs.

        Args:
            counts: those of the whole step.
            gather: returns embeddings of all processes; None for a single process.
        """
        losses = ((term, term.loss(encoder, encoded, batch, true, gather)) for term in self.encoder)
        return {term.name: Term(loss, counts[term.name], term.weight) for term, loss in losses if loss is not None}

    def target_terms(
        self,
        predicted: PredictorOutput,
        batch: Batch,
        true: TrueValues,
        counts: Counts,
        gather: Callable[[Tensor, Sequence[int]], Tensor] | None = None,
    ) -> dict[str, Term]:
        """Compute the terms on the predictor's outputs; see `encoder_terms`."""
        assert self.target is not None
        assert batch.targets is not None
        values = self.target.loss.sum(predicted.outputs, batch.targets, batch.sample_weights)
        terms = {"target": Term(values, counts["target"], self.target.weight)}
        if self.target.balance_weight and predicted.routing is not None:
            everyone = predicted.routing if gather is None else gather(predicted.routing, true.sizes)
            balance = balance_loss(predicted.routing, everyone)
            terms["balance"] = Term(balance, counts["balance"], self.target.balance_weight)
        return terms
