"""The pretrained part: bases -> ASVs -> samples, and the heads of the pretraining objectives."""

from __future__ import annotations

from torch import nn

from aam_models.batch.batch import AsvOutput, Batch, EncoderOutput
from aam_models.batch.layout import from_slots
from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.asv_encoder import AsvEncoder
from aam_models.encoder.distance_head import DistanceHead
from aam_models.encoder.sample_encoder import SampleEncoder
from aam_models.encoder.value_head import ValueHead
from aam_models.requested import EVERYTHING, Outputs


class Encoder(nn.Module):
    """Attention over bases, then over the ASVs of a sample.

    ``distance_head`` is not called here: distances need the embeddings of all samples of a step, which only the step
    has (on several devices they are gathered first).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.asv_encoder = AsvEncoder(config)
        self.sample_encoder = SampleEncoder(config)
        self.distance_head = DistanceHead() if config.distance_head else None
        self.faith_pd_head = ValueHead(config.width) if config.faith_pd_head else None
        self.count_head = nn.Linear(config.width, 1) if config.count_head else None
        self.taxonomy_head = nn.Linear(config.width, sum(config.taxonomy_classes)) if config.taxonomy_classes else None

    def forward(self, batch: Batch, asvs: AsvOutput | None = None, outputs: Outputs = EVERYTHING) -> EncoderOutput:
        """Encode a batch.

        Args:
            batch: see `Batch`.
            asvs: embeddings of the batch's distinct ASVs when they are known already (frozen, cached).
            outputs: which heads run.
        """
        asvs = self.asv_encoder(batch, outputs) if asvs is None else asvs
        samples = self.sample_encoder(asvs.embeddings, batch)
        count_head = self.count_head if outputs.log_abundance and batch.hidden_counts is not None else None
        taxonomy_head = self.taxonomy_head if outputs.taxonomy and batch.taxa is not None else None
        faith_pd_head = self.faith_pd_head if outputs.faith_pd else None
        return EncoderOutput(
            sample_embeddings=samples.embeddings,
            asv_embeddings=asvs.embeddings,
            nucleotide_logits=asvs.nucleotide_logits,
            log_abundance=None if count_head is None else from_slots([count_head(x) for x in samples.slots], batch),
            taxonomy_logits=None if taxonomy_head is None else taxonomy_head(asvs.embeddings),
            faith_pd=None if faith_pd_head is None else faith_pd_head(samples.embeddings),
        )
