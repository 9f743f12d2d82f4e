"""The contract between data and models: what goes into a forward pass and what comes out.

Axes: B samples, N ASV occurrences of all samples in a row, U distinct ASVs of the batch, L tokens per ASV,
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
    """ASVs that are encoded together: rows ``start:stop``, cut to ``length`` tokens.

    Attributes:
        uniform: all of them have exactly ``length`` tokens, so attention needs no mask.
        first_masked, last_masked: the range of the chunk's masked bases among all M.
        recompute: drop its activations in training, and compute them again in the backward pass.
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
        """Tokens that are computed, padding among them."""
        return (self.stop - self.start) * self.length


class Group(NamedTuple):
    """Samples of similar size, which are padded to the largest of them and attend in one call."""

    n_samples: int
    n_slots: int  # of each sample

    @property
    def total(self) -> int:
        return self.n_samples * self.n_slots


@dataclass(frozen=True, eq=False)
class Batch:
    """B samples. Each distinct ASV stands once in ``tokens``, ordered by length; samples refer to it.

    Attributes:
        tokens: uint8 [U, L], START + bases, padded; masked bases already hold the MASK code.
        lengths: int32 [U], tokens without padding.
        asv_index: int64 [N], row of ``tokens`` of each occurrence.
        sample_ptr: int64 [B + 1]; occurrences of sample b are ``sample_ptr[b]:sample_ptr[b + 1]``.
        sample_of: int64 [N], sample of each occurrence.
        groups: how the samples are padded for the sample level; host integers.
        slots: int64 [Z], occurrence in each slot of the padded samples, group after group; N where a slot is empty.
        slot_of: int64 [N], slot of each occurrence.
        places: int64 [B], where each sample stands among those of all groups, one group after the other.
        counts: float32 [N], reads.
        asv_rows: int64 [U], row of each distinct ASV in its study.
        sample_keys: int64 [B, 2], (study, row): targets of pairs are looked up by it.
        draw: which random draw this is: the epoch, or negative for the fixed draws of validation and prediction.
        chunks: how the ASVs are cut for encoding; host integers.
        masked_rows, masked_columns, masked_bases: int64 [M], ascending by row: where tokens were masked and which
            base (0 .. n_bases - 1) stood there. M = 0 when nothing is masked.
        hidden_counts: bool [N], occurrences whose abundance the model may not see; None when all are shown.
        targets: float32 [B, T] in transformed units or class codes, NaN = missing; None without targets.
        taxa: int64 [U, R], taxon of each distinct ASV at R ranks, -1 = unknown; None when they are not predicted.
        categories: int64 [B, C], categories of each sample, 0 = unknown; None when the model reads none.
        covariates: float32 [B, 2 K], standardized numbers (0 where missing), then 1 where one is missing; None when
            the model reads none.
        sample_weights: float32 [B], what each sample's target loss is multiplied by; None for 1.
        n_tokens: tokens of all distinct ASVs without padding, a host integer; 0 where nobody counted them.
        recompute_samples: drop the activations of the sample level in training, and compute them again in the backward
            pass, block by block.
    """

    tokens: Tensor
    lengths: Tensor
    asv_index: Tensor
    sample_ptr: Tensor
    sample_of: Tensor
    groups: tuple[Group, ...]
    slots: Tensor
    slot_of: Tensor
    places: Tensor
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
        return self.places.shape[0]

    @property
    def n_occurrences(self) -> int:
        return self.asv_index.shape[0]

    @property
    def n_asvs(self) -> int:
        return self.tokens.shape[0]

    @property
    def n_slots(self) -> int:
        """Z, empty ones too."""
        return self.slots.shape[0]

    @property
    def longest(self) -> int:
        """ASVs of the largest sample."""
        return max(group.n_slots for group in self.groups)

    @property
    def n_encoded_tokens(self) -> int:
        """Tokens that the ASV level computes with, padding within chunks too."""
        return sum(chunk.n_tokens for chunk in self.chunks)

    def by_group(self, values: Tensor) -> list[Tensor]:
        """Values of all slots, [Z, ...], as [B, S, ...] of each group."""
        parts = values.split([group.total for group in self.groups])
        return [part.unflatten(0, group) for part, group in zip(parts, self.groups, strict=True)]

    def slot_masks(self) -> list[Tensor]:
        """bool [B, S] of each group: whether a slot holds an ASV."""
        return self.by_group(self.slots < self.n_occurrences)

    def _map_tensors(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        changed: dict[str, Any] = {name: change(value) for name, value in values if isinstance(value, Tensor)}
        return replace(self, **changed)

    def to(self, device: torch.device) -> Batch:
        """The batch on another device; host integers stay where they are."""
        return self._map_tensors(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, for asynchronous copies (called by the DataLoader)."""
        return self._map_tensors(lambda tensor: tensor.pin_memory())


class AsvOutput(NamedTuple):
    """Of the ASV encoder. ``nucleotide_logits`` [M, n_bases] only where a head exists and bases were masked, or may be
    masked, in training."""

    embeddings: Tensor  # [U, D]
    nucleotide_logits: Tensor | None


class EncoderOutput(NamedTuple):
    """Of the encoder. Heads that are off, or have nothing to do in this batch, give None."""

    sample_embeddings: Tensor  # [B, D]
    asv_embeddings: Tensor  # [U, D]
    nucleotide_logits: Tensor | None = None  # [M, n_bases]
    log_abundance: Tensor | None = None  # [N], in the units of `standardized_log_abundance`
    faith_pd: Tensor | None = None  # [B], standardized
    taxonomy_logits: Tensor | None = None  # [U, taxa of all ranks one after the other]


class PredictorOutput(NamedTuple):
    """Of the predictor: ``outputs`` in transformed units, or class logits."""

    outputs: Tensor  # [B, W]
    sample_embeddings: Tensor  # [B, D]
    routing: Tensor | None = None  # [B, K] share of each expert of a mixture
