"""Calls of the model: training, validation, prediction and caches all go through a `Step`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aam_models.batch.batch import AsvOutput, Batch, EncoderOutput, PredictorOutput
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.predictor import Predictor
from aam_models.requested import RequestedOutputs
from aam_train.device.memory import peak_memory
from aam_train.device.precision import Precision
from aam_train.engine.embedding_table import EmbeddingTable
from aam_train.losses.objective import Counts, LossBreakdown, Objective, TrueValues
from aam_train.parallel.strategy import Single, Strategy
from aam_train.profiling.throughput import Work, work_of
from aam_train.signals import StopFlag

SLOTS_AT_ONCE = 1 << 16  # half a GB of 128 numbers each


class StepOutput(NamedTuple):
    """Output of the encoder, and of the predictor if it ran; or what its head would read, if that was requested."""

    encoded: EncoderOutput
    predicted: PredictorOutput | None
    features: Tensor | None = None


class Step:
    """Forward pass of an encoder or a predictor, with the outputs of frozen levels taken from caches.

    Args:
        model: on its device.
        device: of the model.
        frozen: whether the encoder is frozen: it runs without gradients, from ``asv_table`` or ``sample_table``.
        precision: arithmetic of forward passes; float32 by default.
        stop: checked between the batches of long passes; None if nothing can stop them.
        strategy: placement of the model on processes, applied here; a single process by default.

    Attributes:
        asv_table: embeddings of the study's ASVs; if set, the ASV level is not run.
        sample_table: embeddings of the study's samples; if set, the encoder is not run at all.
        slots_at_once: maximum padded slots that a pass without gradients computes at once.
        scratch: folder for tables that do not fit in memory; the system's by default.
    """

    def __init__(
        self,
        model: Encoder | Predictor,
        device: torch.device,
        *,
        frozen: bool = False,
        precision: Precision | None = None,
        stop: StopFlag | None = None,
        strategy: Strategy | None = None,
    ) -> None:
        self.model, self.device, self.frozen = model, device, frozen
        self.strategy = strategy or Single(device)
        self.strategy.apply(model)
        self._trained: nn.Module = model
        self.precision, self.stop = precision or Precision(device), stop
        self.encoder = model.encoder if isinstance(model, Predictor) else model
        self.asv_table: EmbeddingTable | None = None
        self.sample_table: EmbeddingTable | None = None
        self.slots_at_once = SLOTS_AT_ONCE
        self.scratch: Path | None = None

    def encode_asvs(self, batch: Batch, outputs: RequestedOutputs) -> AsvOutput:
        """Run the ASV level alone."""
        with self.precision.forward():
            asvs: AsvOutput = self.encoder.asv_encoder(batch.to(self.device), outputs)
        return self.precision.to_float32(asvs)

    def predict_taxa(self, batch: Batch) -> Tensor:
        """Return logits of taxa from the ASV level alone, float32 [U, taxa of all ranks]."""
        head = self.encoder.head("taxonomy")
        assert head is not None
        asvs = self._known_asvs(batch) or self.encode_asvs(batch, RequestedOutputs())
        logits: Tensor = head(asvs.embeddings)
        return logits

    def run(self, batch: Batch, outputs: RequestedOutputs) -> StepOutput:
        """Run the parts of the model that the outputs need, on a batch from the host; outputs are always float32."""
        return self._run(batch, batch.to(self.device), outputs)

    def _run(self, on_host: Batch, batch: Batch, outputs: RequestedOutputs) -> StepOutput:
        """Run the model as `run` does, on a batch that is already on the device."""
        # in training, a single call of a single module, because strategies synchronise gradients there
        model = self._trained if self.model.training and torch.is_grad_enabled() else self.model
        with self.precision.forward():
            if not isinstance(self.model, Predictor):
                encoded = model(batch, self._known_asvs(on_host), outputs)
                return StepOutput(self.precision.to_float32(encoded), None)
            if not outputs.prediction:
                encoded = self.precision.to_float32(self._encode(on_host, batch, outputs))
                return StepOutput(encoded, None, self.model.head_input(batch, encoded) if outputs.features else None)
            with torch.no_grad() if self.frozen else contextlib.nullcontext():
                is_known = self.frozen or self.asv_table is not None
                known = self._encode(on_host, batch, outputs) if is_known else None
            predicted, encoded = model(batch, known, outputs)
        return StepOutput(self.precision.to_float32(encoded), self.precision.to_float32(predicted))

    def begin_training(self) -> None:
        """Hand the model to the strategy; the weights must be the initial ones of the run."""
        self._trained = self.strategy.wrap(self.model)

    def losses(self, batch: Batch, objective: Objective, true: TrueValues, counts: Counts) -> LossBreakdown:
        """Run the forward pass and compute the terms of the loss.

        Args:
            batch, true: on the host.
            objective: defines the terms.
            counts: see `Objective.counts`; over all micro-batches of the step.
        """
        on_host, batch, true = batch, batch.to(self.device), true.to(self.device)
        output = self._run(on_host, batch, objective.outputs)
        gather = self.strategy.ranks.gather
        terms = objective.encoder_terms(self.encoder, output.encoded, batch, true, counts, gather)
        if output.predicted is not None:
            terms |= objective.target_terms(output.predicted, batch, true, counts, gather)
        return LossBreakdown(terms, output.encoded.sample_embeddings.detach().isfinite().all())

    def check_stop(self) -> None:
        """Raise `RunStopped` if a signal asked for it. A collective."""
        if self.stop is not None:
            self.stop.check()

    def train_mode(self) -> None:
        """Switch trained modules to training mode and frozen ones to evaluation mode."""
        self.model.train()
        if self.frozen:
            self.encoder.eval()

    def work(self, batches: list[Batch]) -> Work:
        """Count the work of a training step with these micro-batches on this process."""
        return work_of(
            self.model,
            batches,
            frozen=self.frozen,
            asvs_known=self.asv_table is not None,
            samples_known=self.sample_table is not None,
        )

    def peak_memory(self) -> int:
        """Return the peak memory of this process on the device, in bytes; see `device.memory.peak_memory`."""
        return peak_memory(self.device)

    def _encode(self, on_host: Batch, batch: Batch, outputs: RequestedOutputs) -> EncoderOutput:
        if self.sample_table is not None:
            embeddings = self.sample_table.take(on_host.sample_keys[:, 1])
            return EncoderOutput(embeddings, embeddings.new_zeros((0, embeddings.shape[1])))
        encoded: EncoderOutput = self.encoder(batch, self._known_asvs(on_host), outputs)
        return encoded

    def _known_asvs(self, on_host: Batch) -> AsvOutput | None:
        return None if self.asv_table is None else AsvOutput(self.asv_table.take(on_host.asv_rows), None)
