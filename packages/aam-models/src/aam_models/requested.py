"""The outputs that a caller reads, so that nothing else is computed."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class RequestedOutputs:
    """The outputs that are requested of a model. A head runs if it is requested and exists.

    They follow from what a run learns or is asked for, never from a batch: processes that sum their gradients must run
    the same modules, whatever their batches contain.

    Attributes:
        sample_embeddings: whether passes over many samples keep them; every forward pass computes them.
        nucleotides: logits of masked bases.
        log_abundance: hidden counts, for batches that hide some.
        taxonomy: logits of taxa, for batches that look some up.
        faith_pd: Faith's PD.
        prediction: everything after the encoder of a predictor; without it only the encoder runs.
    """

    sample_embeddings: bool = False
    nucleotides: bool = False
    log_abundance: bool = False
    taxonomy: bool = False
    faith_pd: bool = False
    prediction: bool = False

    def union(self, other: RequestedOutputs) -> RequestedOutputs:
        """Return what either of two callers requests."""
        names = (field.name for field in fields(self))
        return RequestedOutputs(**{name: getattr(self, name) or getattr(other, name) for name in names})


EVERYTHING = RequestedOutputs(True, True, True, True, True, True)
EMBEDDINGS = RequestedOutputs(sample_embeddings=True)
PREDICTION = RequestedOutputs(prediction=True)
