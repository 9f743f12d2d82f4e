"""Encoder + head: what predicts metadata."""

from __future__ import annotations

from torch import Tensor, nn

from aam_models.batch import Batch, EncoderOutput, PredictorOutput
from aam_models.config import PredictorConfig
from aam_models.encoder import Encoder


class Predictor(nn.Module):
    """Sample embedding -> LayerNorm -> head. Outputs are in transformed units, or class logits."""

    def __init__(self, config: PredictorConfig, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.norm = nn.LayerNorm(config.encoder.width)
        self.head = head

    def forward(self, batch: Batch, encoded: EncoderOutput | None = None) -> tuple[PredictorOutput, EncoderOutput]:
        """Predict a batch; ``encoded`` is the encoder's output when it is known already (frozen, cached)."""
        encoded = self.encoder(batch) if encoded is None else encoded
        return self.predict_from(encoded.sample_embeddings), encoded

    def predict_from(self, sample_embeddings: Tensor) -> PredictorOutput:
        """The part after the encoder: [B, D] -> [B, T]."""
        return PredictorOutput(self.head(self.norm(sample_embeddings)), sample_embeddings)


def mlp_head(width: int, hidden_dims: tuple[int, ...], dropout: float, out_width: int) -> nn.Sequential:
    """Linear layers with GELU and dropout between; without hidden layers one linear map."""
    layers: list[nn.Module] = []
    for hidden in hidden_dims:
        layers += [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout)]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, out_width))
