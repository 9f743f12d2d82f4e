"""The work of a step, as integers on the host: the source of throughput, padding and FLOPs in all logs.

With several processes, numbers are sums over them.
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
    """Work of one or more steps.

    Attributes:
        samples, asvs, occurrences: ``asvs`` are distinct within each micro-batch.
        slots: of the padded samples, including empty ones: the sample level computes all of them.
        tokens: without padding.
        encoded_tokens: with padding; 0 if the ASV level did not run.
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
        """Build from a mapping of field names to sums; missing fields are 0, other names are ignored."""
        return cls(**{field.name: int(sums.get(field.name, 0)) for field in fields(cls)})

    @property
    def slot_padding(self) -> float:
        """Share of slots that are empty; 0 without slots."""
        return 1 - self.occurrences / self.slots if self.slots else 0.0

    @property
    def token_padding(self) -> float:
        """Share of encoded tokens that are padding; 0 if none were encoded."""
        return 1 - self.tokens / self.encoded_tokens if self.encoded_tokens else 0.0


def work_of(
    model: Encoder | Predictor,
    batches: Sequence[Batch],
    *,
    frozen: bool = False,
    asvs_known: bool = False,
    samples_known: bool = False,
) -> Work:
    """Count the work of a step of one process.

    Args:
        model: the model in training.
        batches: micro-batches of the step, on the host.
        frozen: whether the encoder is frozen.
        asvs_known, samples_known: whether the output of a level comes from a cache and is not computed.
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
    """Count the operations of the forward and backward pass: three forward passes for trained levels, one for frozen
    levels, none for cached levels.

    These are the FLOPs of the model, not of the hardware: ``--gradient-checkpointing`` does not add any.
    """
    forward = model.flops(batch)
    encoder = model.encoder if isinstance(model, Predictor) else model
    asv_level = 0 if asvs_known or samples_known else forward.asv_level * _passes(encoder.asv_encoder, frozen)
    sample_level = 0 if samples_known else forward.sample_level * _passes(encoder.sample_encoder, frozen)
    return asv_level + sample_level + 3 * forward.head


def _passes(level: nn.Module, frozen: bool) -> int:
    return 1 if frozen or not any(p.requires_grad for p in level.parameters()) else 3
