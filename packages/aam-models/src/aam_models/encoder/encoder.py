"""The pretrained part: bases -> ASVs -> samples, and the heads of the pretraining objectives."""

from __future__ import annotations

from torch import Tensor, nn

from aam_models.batch.batch import AsvOutput, Batch, EncoderOutput
from aam_models.batch.layout import from_slots
from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.absent import AbsentSampleEncoder
from aam_models.encoder.asv.registry import build_asv_encoder
from aam_models.encoder.pretraining_heads import PretrainingHead, heads_of
from aam_models.encoder.sample_encoder import SampleEncoder, SampleOutput
from aam_models.encoder.transformer import Transformer
from aam_models.flops import ForwardFlops, linear_flops
from aam_models.requested import EVERYTHING, RequestedOutputs


class Encoder(nn.Module):
    """Attention over bases, then over the ASVs of a sample.

    Heads on pairs are not called here: distances need the embeddings of all samples of a step, which only the step has
    (on several devices they are gathered first).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.heads = heads_of(config)
        self.asv_encoder = build_asv_encoder(config)
        self.sample_encoder = AbsentSampleEncoder() if config.is_absent else SampleEncoder(config)
        for head in self.heads.values():
            if head.reads != "tokens":
                self.add_module(head.module, head.build(config))

    def head(self, objective: str) -> nn.Module | None:
        """Return the head of a pretraining objective; None if this encoder has none."""
        return self.get_submodule(self.heads[objective].module) if objective in self.heads else None

    def flops(self, batch: Batch) -> ForwardFlops:
        """Count the operations of a forward pass, with the heads that have something to do in this batch."""
        vectors = {"slots": batch.n_slots, "asvs": batch.n_asvs, "samples": batch.n_samples}
        by_level = dict.fromkeys(vectors, 0)
        for name, head in self.heads.items():
            if head.reads in vectors and head.applies_to(batch):
                by_level[head.reads] += vectors[head.reads] * linear_flops(self.head(name))
        asv_level = self.asv_encoder.flops(batch) + by_level["asvs"]
        sample_level = self.sample_encoder.flops(batch) + by_level["samples"] + by_level["slots"]
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
        predictions = {} if asvs.nucleotide_logits is None else {"nucleotides": asvs.nucleotide_logits}
        for level in ("slots", "asvs", "samples"):
            for name, head in self.heads.items():
                if head.reads == level and requested.includes(name) and head.applies_to(batch):
                    predictions[name] = self._predict(head, batch, asvs.embeddings, samples)
        return EncoderOutput(samples.embeddings, asvs.embeddings, predictions)

    def _predict(self, head: PretrainingHead, batch: Batch, asvs: Tensor, samples: SampleOutput) -> Tensor:
        module = self.get_submodule(head.module)
        if head.reads == "slots":
            return from_slots([module(slots) for slots in samples.slots], batch)
        predicted: Tensor = module(asvs if head.reads == "asvs" else samples.embeddings)
        return predicted
