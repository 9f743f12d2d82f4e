"""Encoder, conditions, head: what predicts metadata."""

from __future__ import annotations

from torch import Tensor, nn

from aam_models.batch import Batch, EncoderOutput, PredictorOutput
from aam_models.conditioning.conditions import Conditioning, Conditions
from aam_models.encoder import Encoder
from aam_models.predictor_config import PredictorConfig


class PlainHead(nn.ModuleList):
    """Layers one after the other, which look at the sample alone."""

    def forward(self, pooled: Tensor, conditions: Conditions) -> Tensor:
        """[B, D] -> [B, T]."""
        for layer in self:
            pooled = layer(pooled)
        return pooled


class PlainLink(nn.Module):
    """Outputs as they are."""

    def forward(self, outputs: Tensor, conditions: Conditions) -> Tensor:
        """[B, T] -> [B, T]."""
        return outputs


class Predictor(nn.Module):
    """Sample embedding -> fusion with the conditions -> LayerNorm -> head -> link.

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
        head: nn.Module,
        link: nn.Module,
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.conditioning = conditioning
        self.fusion = fusion
        self.norm = nn.LayerNorm(config.encoder.width)
        self.head = head
        self.link = link

    def forward(self, batch: Batch, encoded: EncoderOutput | None = None) -> tuple[PredictorOutput, EncoderOutput]:
        """Predict a batch; ``encoded`` is the encoder's output when it is known already (frozen, cached)."""
        encoded = self.encoder(batch) if encoded is None else encoded
        return self.predict_from(encoded.sample_embeddings, self.conditioning(batch)), encoded

    def predict_from(self, sample_embeddings: Tensor, conditions: Conditions) -> PredictorOutput:
        """The part after the encoder: [B, D] and conditions of the same samples -> [B, T]."""
        pooled = self.norm(self.fusion(sample_embeddings, conditions))
        outputs = self.link(self.head(pooled, conditions), conditions)
        return PredictorOutput(outputs, sample_embeddings)


def mlp_head(width: int, hidden_dims: tuple[int, ...], dropout: float, out_width: int) -> PlainHead:
    """Linear layers with GELU and dropout between; without hidden layers one linear map."""
    layers: list[nn.Module] = []
    for hidden in hidden_dims:
        layers += [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout)]
        width = hidden
    return PlainHead([*layers, nn.Linear(width, out_width)])
