"""Encoder, conditions and head: the model that predicts metadata."""

from __future__ import annotations

from torch import Tensor, nn

from aam_models.batch.batch import Batch, EncoderOutput, PredictorOutput
from aam_models.config.predictor import PredictorConfig
from aam_models.encoder.encoder import Encoder
from aam_models.encoder.transformer import Transformer
from aam_models.flops import ForwardFlops
from aam_models.predictor.conditioning.conditions import Conditioning, Conditions
from aam_models.predictor.features.sample_features import SampleFeatures
from aam_models.predictor.fusion.base import Fusion
from aam_models.predictor.heads.base import Head, HeadOutput
from aam_models.predictor.heads.quantiles import AscendingQuantiles, NoQuantiles
from aam_models.predictor.output_link import OutputLink
from aam_models.requested import EVERYTHING, RequestedOutputs


class Predictor(nn.Module):
    """Features -> fusion with the conditions -> LayerNorm -> head -> ascending quantiles -> link.

    The features are the sample embedding, or many more (`SampleFeatures`).

    Outputs are in transformed units, or class logits. Fusion, head and link all receive the conditions; those that do
    not need them ignore them.
    """

    def __init__(
        self,
        config: PredictorConfig,
        encoder: Encoder,
        *,
        features: SampleFeatures | None,
        conditioning: Conditioning,
        fusion: Fusion,
        norm: nn.Module,
        head: Head,
        quantiles: AscendingQuantiles | NoQuantiles,
        link: OutputLink,
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.features = features
        self.conditioning = conditioning
        self.fusion = fusion
        self.norm = norm
        self.head = head
        self.quantiles = quantiles
        self.link = link

    def flops(self, batch: Batch) -> ForwardFlops:
        """Count the operations of a forward pass, with the heads that have something to do in this batch."""
        head = batch.n_samples * (self.fusion.flops() + self.head.flops())
        return self.encoder.flops(batch)._replace(head=head)

    def transformers(self) -> list[Transformer]:
        """Return the stacks of blocks that torch.compile may take over."""
        return self.encoder.transformers()

    def forward(
        self, batch: Batch, encoded: EncoderOutput | None = None, requested: RequestedOutputs = EVERYTHING
    ) -> tuple[PredictorOutput, EncoderOutput]:
        """Predict a batch.

        Args:
            batch: see `Batch`.
            encoded: the encoder's output if it is known already (frozen, cached).
            requested: the heads of the encoder to run.
        """
        encoded = self.encoder(batch, None, requested) if encoded is None else encoded
        return self.predict_from(self.head_input(batch, encoded), self.conditioning(batch)), encoded

    def head_input(self, batch: Batch, encoded: EncoderOutput) -> Tensor:
        """Return what fusion and head read of each sample, besides metadata: embeddings [B, D], or features [B, F]."""
        return encoded.sample_embeddings if self.features is None else self.features(batch, encoded)

    def predict_from(self, features: Tensor, conditions: Conditions) -> PredictorOutput:
        """Run the part after the features [B, F], or sample embeddings, and the conditions of the same samples."""
        pooled = self.norm(self.fusion(features, conditions))
        head: HeadOutput = self.head(pooled, conditions)
        outputs = self.link(self.quantiles(head.outputs), conditions)
        return PredictorOutput(outputs, features, head.routing)

    def initialize_output(self, values: Tensor) -> None:
        """Let a new predictor start around these values [W]: transformed units, or class logits."""
        self.head.initialize_output(self.quantiles.invert(self.link.inverse_at_init(values)))
