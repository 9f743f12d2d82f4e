"""What a step has done, as host integers: throughput, padding and operations of every log come from here.

Figures of several processes are sums over them; memory is that of the process which needs most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Self

from torch import nn

from aam_models.batch.batch import Batch
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.predictor import Predictor


@dataclass(frozen=True)
class Work:
    """Of one step, or of several.

    Attributes:
        samples, asvs, occurrences: ``asvs`` are distinct within each micro-batch.
        slots: of the padded samples, empty ones too: the sample level computes with all of them.
        tokens: without padding.
        encoded_tokens: with padding, 0 where the ASV level was not run.
        flops: floating-point operations of the model, see `training_flops`.
    """

    samples: int = 0
    asvs: int = 0
    occurrences: int = 0
    slots: int = 0
    tokens: int = 0
    encoded_tokens: int = 0
    flops: int = 0

    def __add__(self, other: Self) -> Work:
        return Work(**{name: value + getattr(other, name) for name, value in asdict(self).items()})

    @classmethod
    def from_sums(cls, sums: Mapping[str, float]) -> Work:
        """From a mapping that holds (at least) these names; what is absent is 0."""
        return cls(**{field.name: int(sums.get(field.name, 0)) for field in fields(cls)})

    @property
    def slot_padding(self) -> float:
        """Share of the slots that are empty; 0 without slots."""
        return 1 - self.occurrences / self.slots if self.slots else 0.0

    @property
    def token_padding(self) -> float:
        """Share of the tokens that are padding; 0 where none were encoded."""
        return 1 - self.tokens / self.encoded_tokens if self.encoded_tokens else 0.0


def work_of(
    model: Encoder | Predictor,
    batches: Sequence[Batch],
    *,
    frozen: bool = False,
    asvs_known: bool = False,
    samples_known: bool = False,
) -> Work:
    """The work of a step of one process.

    Args:
        model: that is trained.
        batches: its micro-batches, on the host.
        frozen: the encoder does not learn.
        asvs_known, samples_known: a level's output comes from a cache, so it is not computed.
    """
    total = Work()
    for batch in batches:
        encoded = 0 if asvs_known or samples_known else batch.n_encoded_tokens
        total += Work(
            samples=batch.n_samples,
            asvs=batch.n_asvs,
            occurrences=batch.n_occurrences,
            slots=0 if samples_known else batch.n_slots,
            tokens=batch.n_tokens if encoded else 0,
            encoded_tokens=encoded,
            flops=training_flops(model, batch, frozen=frozen, asvs_known=asvs_known, samples_known=samples_known),
        )
    return total


def training_flops(
    model: Encoder | Predictor, batch: Batch, *, frozen: bool, asvs_known: bool, samples_known: bool
) -> int:
    """Operations of forward and backward pass: three forward passes of what learns, one of what is computed without
    learning, none of what comes from a cache.

    Those of the model, not of the hardware: that ``--gradient-checkpointing`` computes again counts no second time.
    """
    forward = model.flops(batch)
    encoder = model.encoder if isinstance(model, Predictor) else model
    asv_level = 0 if asvs_known or samples_known else forward.asv_level * _passes(encoder.asv_encoder, frozen)
    sample_level = 0 if samples_known else forward.sample_level * _passes(encoder.sample_encoder, frozen)
    return asv_level + sample_level + 3 * forward.head


def _passes(level: nn.Module, frozen: bool) -> int:
    return 1 if frozen or not any(p.requires_grad for p in level.parameters()) else 3
