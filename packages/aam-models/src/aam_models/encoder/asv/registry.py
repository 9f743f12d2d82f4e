"""The ASV encoders, by kind."""

from __future__ import annotations

from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.absent import AbsentAsvEncoder
from aam_models.encoder.asv.base import AsvEncoder
from aam_models.encoder.asv.transformer_encoder import TransformerAsvEncoder
from aam_models.errors import ModelError

ASV_ENCODERS: dict[str, type[AsvEncoder]] = {
    encoder.kind: encoder for encoder in (TransformerAsvEncoder, AbsentAsvEncoder)
}


def build_asv_encoder(config: EncoderConfig) -> AsvEncoder:
    """Build the ASV encoder of a configuration with random initial weights.

    Raises:
        ModelError: this version does not know the kind.
    """
    if config.asv_encoder not in ASV_ENCODERS:
        raise ModelError(f"unknown ASV encoder {config.asv_encoder!r}; known: {', '.join(ASV_ENCODERS)}. Update AAM")
    return ASV_ENCODERS[config.asv_encoder].from_config(config)
