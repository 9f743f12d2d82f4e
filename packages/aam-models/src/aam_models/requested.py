"""The outputs that a caller reads, so that nothing else is computed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RequestedOutputs:
    """The outputs that are requested of a model. A head runs if it is requested and exists.

    They follow from what a run learns or is asked for, never from a batch: processes that sum their gradients must run
    the same modules, whatever their batches contain.

    Attributes:
        objectives: pretraining objectives whose heads run, by name; None for all.
        sample_embeddings: whether passes over many samples keep them; every forward pass computes them.
        prediction: everything after the encoder of a predictor; without it only the encoder runs.
        features: what the head of a predictor reads, without running the head.
    """

    objectives: frozenset[str] | None = frozenset()
    sample_embeddings: bool = False
    prediction: bool = False
    features: bool = False

    def includes(self, objective: str) -> bool:
        """Return whether the head of an objective runs."""
        return self.objectives is None or objective in self.objectives

    def union(self, other: RequestedOutputs) -> RequestedOutputs:
        """Return what either of two callers requests."""
        every = self.objectives is None or other.objectives is None
        return RequestedOutputs(
            None if every else (self.objectives or frozenset()) | (other.objectives or frozenset()),
            self.sample_embeddings or other.sample_embeddings,
            self.prediction or other.prediction,
            self.features or other.features,
        )


EVERYTHING = RequestedOutputs(None, sample_embeddings=True, prediction=True)
EMBEDDINGS = RequestedOutputs(sample_embeddings=True)
PREDICTION = RequestedOutputs(prediction=True)
FEATURES = RequestedOutputs(features=True)


def requested_heads(*objectives: str) -> RequestedOutputs:
    """Request the heads of these pretraining objectives."""
    return RequestedOutputs(frozenset(objectives))
