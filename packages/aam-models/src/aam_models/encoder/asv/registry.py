"""The ASV encoders, by kind."""

from __future__ import annotations

from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.asv.base import AsvEncoder
from aam_models.encoder.asv.transformer_encoder import TransformerAsvEncoder

ASV_ENCODERS: dict[str, type[AsvEncoder]] = {encoder.kind: encoder for encoder in (TransformerAsvEncoder,)}


def build_asv_encoder(config: EncoderConfig) -> AsvEncoder:
    """Build the ASV encoder of a configuration with random initial weights."""
    return ASV_ENCODERS[config.asv_encoder_kind].from_config(config)
