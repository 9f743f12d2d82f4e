"""Encoder, conditions, head: what predicts metadata."""

from __future__ import annotations

from torch import Tensor, nn

from aam_models.batch.batch import Batch, EncoderOutput, PredictorOutput
from aam_models.config.predictor import PredictorConfig
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.conditioning.conditions import Conditioning, Conditions
from aam_models.predictor.heads.base import Head, HeadOutput
from aam_models.predictor.heads.quantiles import AscendingQuantiles
from aam_models.predictor.output_link import OutputLink
from aam_models.requested import EVERYTHING, Outputs


class Predictor(nn.Module):
    """Sample embedding -> fusion with the conditions -> LayerNorm -> head -> ascending quantiles -> link.

    Outputs are in transformed units, or class logits. Fusion, head and link are given the conditions too; those that
    do not look at them ignore them.
    """

    def __init__(
        self,
        config: PredictorConfig,
        encoder: Encoder,
        *,
        conditioning: Conditioning,
        fusion: nn.Module,
        norm: nn.Module,
        head: Head,
        quantiles: nn.Module,
        link: OutputLink,
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.conditioning = conditioning
        self.fusion = fusion
        self.norm = norm
        self.head = head
        self.quantiles = quantiles
        self.link = link

    def forward(
        self, batch: Batch, encoded: EncoderOutput | None = None, outputs: Outputs = EVERYTHING
    ) -> tuple[PredictorOutput, EncoderOutput]:
        """Predict a batch.

        Args:
            batch: see `Batch`.
            encoded: the encoder's output when it is known already (frozen, cached).
            outputs: which heads of the encoder run.
        """
        encoded = self.encoder(batch, None, outputs) if encoded is None else encoded
        return self.predict_from(encoded.sample_embeddings, self.conditioning(batch)), encoded

    def predict_from(self, sample_embeddings: Tensor, conditions: Conditions) -> PredictorOutput:
        """The part after the encoder: [B, D] and conditions of the same samples -> [B, T]."""
        pooled = self.norm(self.fusion(sample_embeddings, conditions))
        found: HeadOutput = self.head(pooled, conditions)
        outputs = self.link(self.quantiles(found.outputs), conditions)
        return PredictorOutput(outputs, sample_embeddings, found.routing)

    def start_at(self, values: Tensor) -> None:
        """Let a new predictor begin around these values [W]: transformed units, or class logits."""
        values = self.link.invert_at_start(values)
        if isinstance(self.quantiles, AscendingQuantiles):
            values = self.quantiles.invert(values)
        self.head.start_at(values)
