"""The only constructors of models."""

from __future__ import annotations

from aam_models.conditioning.conditions import Conditioning
from aam_models.config import EncoderConfig
from aam_models.encoder import Encoder
from aam_models.fusion.build import build_fusion
from aam_models.predictor import PlainLink, Predictor, mlp_head
from aam_models.predictor_config import PredictorConfig


def build_encoder(config: EncoderConfig) -> Encoder:
    """An encoder with freshly drawn weights (from torch's global generator)."""
    return Encoder(config)


def build_predictor(config: PredictorConfig) -> Predictor:
    """A predictor with freshly drawn weights (from torch's global generator)."""
    width, heads = config.encoder.width, config.encoder.heads
    # what conditions is drawn last, so that the rest begins as in a model without it
    encoder = build_encoder(config.encoder)
    head = mlp_head(width, config.hidden_dims, config.dropout, config.out_width)
    return Predictor(
        config,
        encoder,
        head=head,
        link=PlainLink(),
        conditioning=Conditioning(config.conditioning),
        fusion=build_fusion(config.conditioning, width, heads),
    )
