"""Which outputs a caller reads, so that nothing else is computed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outputs:
    """What is wanted of a model. A head runs where it is wanted and exists.

    This follows from what a run learns or is asked for, never from a batch: processes that add gradients up must run
    the same modules, whatever their batches hold.

    Attributes:
        sample_embeddings: every forward pass has them; whether passes over many samples keep them.
        nucleotides: logits of masked bases.
        log_abundance: hidden counts; of batches that hide some.
        taxonomy: logits of taxa; of batches that look some up.
        faith_pd: Faith's PD.
        prediction: what stands behind the encoder of a predictor; without it there is its encoder alone.
    """

    sample_embeddings: bool = False
    nucleotides: bool = False
    log_abundance: bool = False
    taxonomy: bool = False
    faith_pd: bool = False
    prediction: bool = False


EVERYTHING = Outputs(True, True, True, True, True, True)
EMBEDDINGS = Outputs(sample_embeddings=True)
PREDICTION = Outputs(prediction=True)
