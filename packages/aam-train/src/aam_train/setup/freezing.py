"""Freeze parts of the encoder that no term of the loss reaches, and cache what a frozen encoder computes."""

from __future__ import annotations

import numpy as np
import torch

from aam_models.encoder.encoder import Encoder
from aam_models.requested import EMBEDDINGS
from aam_train.data.run_data import RunData
from aam_train.engine.embedding_table import EmbeddingTable
from aam_train.engine.step import Step
from aam_train.evaluation.inference import embed_asvs, run_samples
from aam_train.losses.objective import EVERY_PART, EncoderPart


def freeze_unused_parameters(encoder: Encoder, trained: frozenset[EncoderPart]) -> None:
    """Freeze parts of the encoder that no gradient reaches, so that the optimizer leaves them out.

    Processes that add gradients up must know beforehand which ones there are.
    """
    for part in EVERY_PART - trained:
        encoder.get_submodule(part.value).requires_grad_(False)


def cache_frozen_embeddings(step: Step, data: RunData, batch_size: int) -> None:
    """Run the frozen parts once: sample embeddings where every draw is the same, else ASV embeddings."""
    everything = np.concatenate(list(data.rows.values()))
    table = data.study.table
    if not data.maker.samples.are_fixed(everything):
        step.asv_table = embed_asvs(step, data.maker, table.observed_in(everything))
        return
    embeddings = run_samples(step, data.maker, everything, batch_size, EMBEDDINGS).embeddings
    assert embeddings is not None
    step.sample_table = EmbeddingTable(
        everything,
        table.n_samples,
        embeddings.shape[1],
        step.device,
        step.scratch,
        processes=step.strategy.ranks.local_size,
    )
    step.sample_table.put(torch.from_numpy(everything), torch.from_numpy(embeddings))
