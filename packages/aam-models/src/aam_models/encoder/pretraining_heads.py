"""The heads of pretraining objectives: one entry each, under the objective's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from aam_models.batch.batch import Batch
from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.distance_head import DistanceHead
from aam_models.encoder.value_head import ValueHead
from aam_models.errors import ModelError

Level = Literal["tokens", "slots", "asvs", "samples", "pairs"]


@dataclass(frozen=True)
class PretrainingHead:
    """Location, inputs and constructor of a head.

    Attributes:
        module: name of its module in the encoder, and so of its weights.
        reads: vectors that it reads. Those of ``tokens`` belong to the ASV encoder, which builds them; those of
            ``pairs`` are called by the loss, which has the embeddings of all samples of a step.
        build: builds the module with random initial weights.
        applies_to: whether a batch has something for it to predict.
        more_modules: other parts of the encoder that exist only together with this head.
    """

    module: str
    reads: Level
    build: Callable[[EncoderConfig], nn.Module]
    applies_to: Callable[[Batch], bool] = lambda batch: True
    more_modules: tuple[str, ...] = ()


# In this order heads are built, and so take their initial weights from the random generator.
PRETRAINING_HEADS: dict[str, PretrainingHead] = {
    "nucleotides": PretrainingHead(
        "asv_encoder.nucleotide_head",
        "tokens",
        lambda config: nn.Linear(config.width, config.bases_per_token * config.alphabet.n_bases),
    ),
    "unifrac": PretrainingHead("distance_head", "pairs", lambda config: DistanceHead()),
    "faith_pd": PretrainingHead("faith_pd_head", "samples", lambda config: ValueHead(config.width)),
    "counts": PretrainingHead(
        "count_head",
        "slots",
        lambda config: nn.Linear(config.width, 1),
        applies_to=lambda batch: batch.hidden_counts is not None,
        more_modules=("sample_encoder.abundance.hidden",),
    ),
    "taxonomy": PretrainingHead(
        "taxonomy_head",
        "asvs",
        lambda config: nn.Linear(config.width, sum(config.taxonomy_classes)),
        applies_to=lambda batch: batch.taxa is not None,
    ),
}


def heads_of(config: EncoderConfig) -> dict[str, PretrainingHead]:
    """Return the heads of an encoder by objective, in the order in which they are built.

    Raises:
        ModelError: the configuration names an objective that this version does not know.
    """
    unknown = [name for name in config.objectives if name not in PRETRAINING_HEADS]
    if unknown:
        known = ", ".join(PRETRAINING_HEADS)
        raise ModelError(f"unknown pretraining objectives {', '.join(unknown)}; known: {known}. Update AAM")
    return {name: head for name, head in PRETRAINING_HEADS.items() if name in config.objectives}
