"""The contract between data and models: input and output of a forward pass.

Axes: B samples, N ASV occurrences of all samples one after the other, U distinct ASVs of the batch, L tokens per ASV,
S slots per sample (its group's longest), Z slots in all, D width, M masked bases, T outputs per sample, C categorical
columns, K numeric ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Chunk(NamedTuple):
    """ASVs that are encoded together: rows ``start:stop``, truncated to ``length`` tokens.

    Attributes:
        uniform: all of them have exactly ``length`` tokens, none of them padding, so attention needs no mask.
        first_masked, last_masked: the range of the chunk's masked bases among all M.
        recompute: whether training drops its activations, and computes them again in the backward pass.
    """

    start: int
    stop: int
    length: int
    uniform: bool
    first_masked: int
    last_masked: int
    recompute: bool = False

    @property
    def n_tokens(self) -> int:
        """Tokens that are computed, including padding."""
        return (self.stop - self.start) * self.length


class PaddedGroup(NamedTuple):
    """Samples of similar size, which are padded to the largest of them and encoded in one call."""

    n_samples: int
    n_slots: int  # of each sample

    @property
    def total(self) -> int:
        return self.n_samples * self.n_slots


@dataclass(frozen=True, eq=False)
class Batch:
    """B samples. Each distinct ASV occurs once in ``tokens``, in order of length; samples refer to it.

    Attributes:
        tokens: uint8 [U, L], START + bases, padded; masked bases are the MASK code already. Padding between START and
            the first base keeps the positions of bases that a read does not have. One token is one base, even if the
            encoder joins several.
        lengths: int32 [U], number of tokens without padding at the end.
        asv_index: int64 [N], row of ``tokens`` of each occurrence.
        sample_ptr: int64 [B + 1]; occurrences of sample b are ``sample_ptr[b]:sample_ptr[b + 1]``.
        sample_of: int64 [N], sample of each occurrence.
        groups: the groups in which samples are padded for the sample level; host integers.
        slots: int64 [Z], occurrence in each slot of the padded samples, group after group; N where a slot is empty.
        slot_of: int64 [N], slot of each occurrence.
        order: int64 [B], position of each sample in the groups, one group after the other.
        counts: float32 [N], reads.
        asv_rows: int64 [U], row of each distinct ASV in its study.
        sample_keys: int64 [B, 2], (study, row): the key of targets of pairs.
        draw: number of the random draw: the epoch, or negative for the fixed draws of validation and prediction.
        chunks: the chunks in which ASVs are encoded; host integers.
        masked_rows, masked_columns, masked_bases: int64 [M], ascending by row: row and column of masked tokens, and the
            base (0 .. n_bases - 1) that was masked. M = 0 if nothing is masked.
        hidden_counts: bool [N], occurrences whose abundance the model may not see; None if it may see all.
        targets: float32 [B, T] in transformed units or class codes, NaN = missing; None without targets.
        taxa: int64 [U, R], taxon of each distinct ASV at R ranks, -1 = unknown; None if they are not predicted.
        categories: int64 [B, C], categories of each sample, 0 = unknown; None if the model reads none.
        covariates: float32 [B, 2 K], standardized numbers (0 where missing), then 1 where one is missing; None if the
            model reads none.
        sample_weights: float32 [B], factors of each sample's target loss; None for 1.
        n_tokens: tokens of all distinct ASVs without padding, a host integer; 0 if they were not counted.
        recompute_samples: whether training drops the activations of the sample level, and computes them again in the
            backward pass, block by block.
    """

    tokens: Tensor
    lengths: Tensor
    asv_index: Tensor
    sample_ptr: Tensor
    sample_of: Tensor
    groups: tuple[PaddedGroup, ...]
    slots: Tensor
    slot_of: Tensor
    order: Tensor
    counts: Tensor
    asv_rows: Tensor
    sample_keys: Tensor
    draw: int
    chunks: tuple[Chunk, ...]
    masked_rows: Tensor
    masked_columns: Tensor
    masked_bases: Tensor
    hidden_counts: Tensor | None = None
    targets: Tensor | None = None
    taxa: Tensor | None = None
    categories: Tensor | None = None
    covariates: Tensor | None = None
    sample_weights: Tensor | None = None
    n_tokens: int = 0
    recompute_samples: bool = False

    @property
    def n_samples(self) -> int:
        return self.order.shape[0]

    @property
    def n_occurrences(self) -> int:
        return self.asv_index.shape[0]

    @property
    def n_asvs(self) -> int:
        return self.tokens.shape[0]

    @property
    def n_slots(self) -> int:
        """Z, including empty ones."""
        return self.slots.shape[0]

    @property
    def longest(self) -> int:
        """ASVs of the largest sample."""
        return max(group.n_slots for group in self.groups)

    @property
    def n_encoded_tokens(self) -> int:
        """Tokens that the ASV level computes, including the padding within chunks."""
        return sum(chunk.n_tokens for chunk in self.chunks)

    def by_group(self, values: Tensor) -> list[Tensor]:
        """Split values of all slots, [Z, ...], into [B, S, ...] of each group."""
        parts = values.split([group.total for group in self.groups])
        return [part.unflatten(0, group) for part, group in zip(parts, self.groups, strict=True)]

    def slot_masks(self) -> list[Tensor]:
        """Return bool [B, S] for each group: whether a slot contains an ASV."""
        return self.by_group(self.slots < self.n_occurrences)

    def _map_tensors(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        changed: dict[str, Any] = {name: change(value) for name, value in values if isinstance(value, Tensor)}
        return replace(self, **changed)

    def to(self, device: torch.device) -> Batch:
        """Copy the batch to another device; host integers stay where they are."""
        return self._map_tensors(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Copy the batch to page-locked memory, for asynchronous transfers (called by the DataLoader)."""
        return self._map_tensors(lambda tensor: tensor.pin_memory())


class AsvOutput(NamedTuple):
    """Output of the ASV encoder; logits if they have a head and bases are masked or, in training, may be masked."""

    embeddings: Tensor  # [U, D]
    nucleotide_logits: Tensor | None  # [M, n_bases]


class EncoderOutput(NamedTuple):
    """Output of the encoder.

    Attributes:
        sample_embeddings: [B, D].
        asv_embeddings: [U, D].
        predictions: outputs of the heads by pretraining objective, absent where a head is off or has nothing to do in
            this batch: ``nucleotides`` [M, n_bases] logits, ``counts`` [N] in the units of
            `standardized_log_abundance`, ``faith_pd`` [B] standardized, ``taxonomy`` [U, taxa of all ranks one after
            the other] logits.
    """

    sample_embeddings: Tensor
    asv_embeddings: Tensor
    predictions: dict[str, Tensor] = {}  # noqa: RUF012 - nobody adds to it


class PredictorOutput(NamedTuple):
    """Output of the predictor: ``outputs`` are in transformed units, or class logits."""

    outputs: Tensor  # [B, W]
    features: Tensor  # [B, F], what the head reads of the samples; [B, D] sample embeddings without other features
    routing: Tensor | None = None  # [B, K] share of each expert of a mixture
