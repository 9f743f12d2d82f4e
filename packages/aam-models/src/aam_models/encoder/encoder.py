"""The pretrained part: bases -> ASVs -> samples, and the heads of the pretraining objectives."""

from __future__ import annotations

from torch import nn

from aam_models.batch.batch import AsvOutput, Batch, EncoderOutput
from aam_models.batch.layout import from_slots
from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.asv.registry import build_asv_encoder
from aam_models.encoder.distance_head import DistanceHead
from aam_models.encoder.sample_encoder import SampleEncoder
from aam_models.encoder.transformer import Transformer
from aam_models.encoder.value_head import ValueHead
from aam_models.flops import ForwardFlops, linear_flops
from aam_models.requested import EVERYTHING, RequestedOutputs


class Encoder(nn.Module):
    """Attention over bases, then over the ASVs of a sample.

    ``distance_head`` is not called here: distances need the embeddings of all samples of a step, which only the step
    has (on several devices they are gathered first).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.asv_encoder = build_asv_encoder(config)
        self.sample_encoder = SampleEncoder(config)
        self.distance_head = DistanceHead() if config.distance_head else None
        self.faith_pd_head = ValueHead(config.width) if config.faith_pd_head else None
        self.count_head = nn.Linear(config.width, 1) if config.count_head else None
        self.taxonomy_head = nn.Linear(config.width, sum(config.taxonomy_classes)) if config.taxonomy_classes else None

    def flops(self, batch: Batch) -> ForwardFlops:
        """Count the operations of a forward pass, with the heads that have something to do in this batch."""
        asv_level = self.asv_encoder.flops(batch)
        if batch.taxa is not None:
            asv_level += batch.n_asvs * linear_flops(self.taxonomy_head)
        sample_level = self.sample_encoder.flops(batch) + batch.n_samples * linear_flops(self.faith_pd_head)
        if batch.hidden_counts is not None:
            sample_level += batch.n_slots * linear_flops(self.count_head)
        return ForwardFlops(asv_level, sample_level, head=0)

    def transformers(self) -> list[Transformer]:
        """Return the stacks of blocks that torch.compile may take over."""
        return [*self.asv_encoder.transformers(), *self.sample_encoder.transformers()]

    def forward(
        self, batch: Batch, asvs: AsvOutput | None = None, requested: RequestedOutputs = EVERYTHING
    ) -> EncoderOutput:
        """Encode a batch.

        Args:
            batch: see `Batch`.
            asvs: embeddings of the batch's distinct ASVs if they are known already (frozen, cached).
            requested: the heads to run.
        """
        asvs = self.asv_encoder(batch, requested) if asvs is None else asvs
        samples = self.sample_encoder(asvs.embeddings, batch)
        count_head = self.count_head if requested.log_abundance and batch.hidden_counts is not None else None
        taxonomy_head = self.taxonomy_head if requested.taxonomy and batch.taxa is not None else None
        faith_pd_head = self.faith_pd_head if requested.faith_pd else None
        return EncoderOutput(
            sample_embeddings=samples.embeddings,
            asv_embeddings=asvs.embeddings,
            nucleotide_logits=asvs.nucleotide_logits,
            log_abundance=None if count_head is None else from_slots([count_head(x) for x in samples.slots], batch),
            taxonomy_logits=None if taxonomy_head is None else taxonomy_head(asvs.embeddings),
            faith_pd=None if faith_pd_head is None else faith_pd_head(samples.embeddings),
        )
