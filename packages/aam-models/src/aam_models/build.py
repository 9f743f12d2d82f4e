"""The only constructors of models."""

from __future__ import annotations

from torch import nn

from aam_models.config.encoder import EncoderConfig
from aam_models.config.predictor import PredictorConfig
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.conditioning.conditions import Conditioning
from aam_models.predictor.features.sample_features import SampleFeatures
from aam_models.predictor.fusion.registry import build_fusion
from aam_models.predictor.heads.quantiles import AscendingQuantiles, NoQuantiles
from aam_models.predictor.heads.registry import build_head
from aam_models.predictor.output_link import OutputLink
from aam_models.predictor.predictor import Predictor


def build_encoder(config: EncoderConfig) -> Encoder:
    """Build an encoder with random initial weights, drawn from torch's global generator.

    Args:
        config: architecture of the encoder.

    Returns:
        The encoder, on the CPU, in training mode.

    Example:
        >>> torch.manual_seed(0)
        >>> encoder = build_encoder(EncoderConfig(codes, max_bp=150, width=64, heads=2, asv_layers=2, sample_layers=2))
    """
    return Encoder(config)


def build_predictor(config: PredictorConfig) -> Predictor:
    """Build a predictor with random initial weights, drawn from torch's global generator.

    Args:
        config: architecture of the predictor.

    Returns:
        The predictor, on the CPU, in training mode.

    Example:
        >>> predictor = build_predictor(PredictorConfig(encoder.config, out_width=1, hidden_dims=(64, 32)))
    """
    width, heads = config.encoder.width, config.encoder.heads
    sizes = [category.size for category in config.conditioning.categories]
    ascend = any(outputs > 1 for outputs in config.target_widths)
    # conditioning and fusion come last, so that encoder and head start as in a model without them
    encoder = build_encoder(config.encoder)
    head = build_head(config)
    features = None if config.features is None else SampleFeatures(config.features, config.encoder)
    return Predictor(
        config,
        encoder,
        norm=nn.LayerNorm(width) if config.layer_norm else nn.Identity(),
        features=features,
        head=head,
        quantiles=AscendingQuantiles(config.target_widths, config.anchors) if ascend else NoQuantiles(),
        link=OutputLink(config.link, config.target_widths, sizes),
        conditioning=Conditioning(config.conditioning),
        fusion=build_fusion(config.conditioning, width, heads),
    )
