"""The only constructors of models."""

from __future__ import annotations

from aam_models.config import EncoderConfig, PredictorConfig
from aam_models.encoder import Encoder
from aam_models.predictor import Predictor, mlp_head


def build_encoder(config: EncoderConfig) -> Encoder:
    """An encoder with freshly drawn weights (from torch's global generator)."""
    return Encoder(config)


def build_predictor(config: PredictorConfig) -> Predictor:
    """A predictor with freshly drawn weights (from torch's global generator)."""
    encoder = build_encoder(config.encoder)
    head = mlp_head(config.encoder.width, config.hidden_dims, config.dropout, config.out_width)
    return Predictor(config, encoder, head)
