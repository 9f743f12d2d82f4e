"""Collation of samples into a Batch with each distinct ASV once, and with all metadata that the host needs.

Axes as in aam_models.batch.batch: B samples, N occurrences, U distinct ASVs, L tokens, S slots, M masked bases.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from aam_data import alphabet
from aam_data.preprocessing.dataset import Sample
from aam_data.preprocessing.metadata_inputs import InputValues
from aam_data.random_keys import sample_key
from aam_data.study.study import Study
from aam_models.batch.batch import Batch, Chunk
from aam_models.batch.padding import pad
from aam_train.data.corruptions import BatchArrays, Corruptions

MIN_CHUNK_ASVS = 32  # ASVs of one length that get a chunk of their own
MIN_LENGTH_RATIO = 0.75  # shortest to longest ASV of a mixed chunk, in tokens: bounds the padding


class ActivationPlan(NamedTuple):
    """Activations that a training step keeps for its backward pass; the others are recomputed.

    Attributes:
        tokens: maximum number of ASV tokens to keep, see `mark_recomputed`; None: all.
        slots: whether the sample level keeps its activations.
    """

    tokens: int | None = None
    slots: bool = True


KEEP_ALL, KEEP_NONE = ActivationPlan(), ActivationPlan(0, False)


class Collator:
    """Batch maker for one study.

    Args:
        study: source of the samples.
        max_bp: number of bases of each sequence that the model reads.
        chunk_size: maximum ASVs encoded at once; 0 = all.
        seed: for the masks.
        targets: float32 [B of the study, T] in transformed units, NaN = missing; None without targets.
        taxa: int64 [A, R] taxa of the study's ASVs, -1 = unknown; None if they are not predicted.
        inputs: metadata of the study's samples that the model reads; None if it reads none.
        sample_weights: float32 [B of the study], weights in the target's loss; None for 1.
    """

    def __init__(
        self,
        study: Study,
        *,
        max_bp: int,
        chunk_size: int,
        seed: int,
        targets: np.ndarray | None = None,
        taxa: np.ndarray | None = None,
        inputs: InputValues | None = None,
        sample_weights: np.ndarray | None = None,
    ) -> None:
        self.sequences, self.max_bp, self.chunk_size, self.seed = study.sequences, max_bp, chunk_size, seed
        self.targets, self.taxa = targets, taxa
        self.inputs, self.sample_weights = inputs, sample_weights
        self.sample_hashes = np.fromiter(map(sample_key, study.table.sample_ids), np.uint64, study.table.n_samples)
        self.lengths = np.minimum(study.sequences.lengths, max_bp).astype(np.int32)
        self.has_gap = study.sequences.starts > 0

    def collate(
        self, samples: list[Sample], draw: int, corruptions: Corruptions, activations: ActivationPlan = KEEP_ALL
    ) -> Batch:
        """Make a batch of samples, each with at least one ASV."""
        rows = np.array([sample.row for sample in samples], dtype=np.int64)
        sizes = np.array([len(sample.asv_rows) for sample in samples], dtype=np.int64)
        assert sizes.min() > 0, "a sample without ASVs cannot be encoded"
        asv_rows, asv_index = self._distinct(np.concatenate([sample.asv_rows for sample in samples]))
        tokens, lengths = self._tokens(asv_rows)
        gaps = self.has_gap[asv_rows]
        arrays = BatchArrays(
            tokens,
            asv_keys=self.sequences.keys[asv_rows],
            asv_index=asv_index,
            sample_keys=np.repeat(self.sample_hashes[rows], sizes),
            seed=self.seed,
            draw=draw,
            known_taxa=None if self.taxa is None else self.taxa[asv_rows],
        )
        for corruption in corruptions:
            corruption.apply(arrays)
        sample_ptr = np.concatenate([[0], np.cumsum(sizes)])
        return Batch(
            tokens=torch.from_numpy(arrays.tokens),
            lengths=torch.from_numpy(lengths),
            asv_index=torch.from_numpy(asv_index),
            sample_ptr=torch.from_numpy(sample_ptr),
            **pad(sizes).fields(),
            counts=torch.from_numpy(np.concatenate([sample.counts for sample in samples])),
            asv_rows=torch.from_numpy(asv_rows),
            sample_keys=torch.from_numpy(np.stack([np.zeros_like(rows), rows], axis=1)),
            draw=draw,
            chunks=mark_recomputed(cut_chunks(lengths, self.chunk_size, arrays.masked_rows, gaps), activations.tokens),
            masked_rows=torch.from_numpy(arrays.masked_rows),
            masked_columns=torch.from_numpy(arrays.masked_columns),
            masked_bases=torch.from_numpy(arrays.masked_bases),
            hidden_counts=None if arrays.hidden_counts is None else torch.from_numpy(arrays.hidden_counts),
            targets=_rows(self.targets, rows),
            taxa=None if arrays.taxa is None else torch.from_numpy(arrays.taxa),
            categories=None if self.inputs is None else _rows(self.inputs.codes, rows),
            covariates=None if self.inputs is None else _rows(self.inputs.covariates, rows),
            sample_weights=_rows(self.sample_weights, rows),
            n_tokens=int(lengths.sum()),
            recompute_samples=not activations.slots,
        )

    def asvs(self, asv_rows: np.ndarray, draw: int, corruptions: Corruptions) -> Batch:
        """Make a batch for the ASV level alone: these ASVs as a single sample."""
        sample = Sample(0, asv_rows, np.ones(len(asv_rows), dtype=np.float32), reads_cut=0.0, asvs_cut=0)
        return self.collate([sample], draw, corruptions)

    def chunks_of(self, samples: list[Sample]) -> tuple[Chunk, ...]:
        """Return the chunks of a batch of these samples, without making the batch."""
        asv_rows, _ = self._distinct(np.concatenate([sample.asv_rows for sample in samples]))
        nothing = np.zeros(0, dtype=np.int64)
        return cut_chunks(self.lengths[asv_rows] + 1, self.chunk_size, nothing, self.has_gap[asv_rows])

    def _distinct(self, occurrences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return distinct ASVs by length, then canonical order, int64 [U], and each occurrence's index, int64 [N]."""
        distinct, index = np.unique(occurrences, return_inverse=True)
        order = np.argsort(self.lengths[distinct], kind="stable")
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        return distinct[order], position[index]

    def _tokens(self, asv_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths = self.lengths[asv_rows]
        tokens = np.empty((len(asv_rows), int(lengths.max()) + 1), dtype=np.uint8)
        tokens[:, 0] = alphabet.START
        tokens[:, 1:] = self.sequences.codes[asv_rows, : tokens.shape[1] - 1]
        return tokens, lengths + 1


def _rows(values: np.ndarray | None, rows: np.ndarray) -> torch.Tensor | None:
    return None if values is None else torch.from_numpy(values[rows])


def cut_chunks(
    lengths: np.ndarray, chunk_size: int, masked_rows: np.ndarray, gaps: np.ndarray | None = None
) -> tuple[Chunk, ...]:
    """Cut ASVs, sorted by length, into chunks for encoding.

    A length that many ASVs share gets its own chunk, without an attention mask; rare lengths share a chunk as long as
    the shortest has at least three quarters of the longest.

    Args:
        lengths: int32 [U] tokens, ascending.
        chunk_size: maximum ASVs per chunk, 0 = no limit.
        masked_rows: int64 [M] ascending.
        gaps: bool [U], ASVs with padding in front of their first base, which needs the mask; None if there are none.
    """
    chunks = []
    start, size = 0, chunk_size or len(lengths)
    while start < len(lengths):
        same = int(np.searchsorted(lengths, lengths[start], side="right"))
        similar = int(np.searchsorted(lengths, lengths[start] / MIN_LENGTH_RATIO, side="right"))
        stop = min(same if same - start >= MIN_CHUNK_ASVS else similar, start + size)
        first, last = (int(i) for i in np.searchsorted(masked_rows, [start, stop]))
        uniform = stop <= same and (gaps is None or not gaps[start:stop].any())
        chunks.append(Chunk(start, stop, int(lengths[stop - 1]), uniform, first, last))
        start = stop
    return tuple(chunks)


def mark_recomputed(chunks: tuple[Chunk, ...], kept_tokens: int | None) -> tuple[Chunk, ...]:
    """Mark the first chunks for recomputation, so that the others have at most ``kept_tokens`` tokens; None marks none.

    The last chunks keep their activations: the backward pass goes from last to first, so these are already freed when
    the first chunks are recomputed.
    """
    if kept_tokens is None:
        return chunks
    tokens = np.cumsum([chunk.n_tokens for chunk in reversed(chunks)])
    first_kept = len(chunks) - int(np.searchsorted(tokens, kept_tokens, side="right"))
    return tuple(chunk._replace(recompute=index < first_kept) for index, chunk in enumerate(chunks))
