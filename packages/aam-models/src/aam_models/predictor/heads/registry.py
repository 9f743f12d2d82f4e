"""The heads, by kind, and their combinations."""

from __future__ import annotations

from collections.abc import Sequence

from aam_models.config.predictor import PredictorConfig
from aam_models.errors import ModelError
from aam_models.predictor.heads.base import Head, SingleHead
from aam_models.predictor.heads.film import FilmHead
from aam_models.predictor.heads.linear import LinearHead
from aam_models.predictor.heads.mixture import MixtureHead
from aam_models.predictor.heads.mlp import MlpHead
from aam_models.predictor.heads.residual import ResidualHead

HEADS: dict[str, type[SingleHead]] = {head.kind: head for head in (MlpHead, FilmHead, LinearHead)}


def build_head(config: PredictorConfig) -> Head:
    """Build the head of a configuration with random initial weights: alone, as experts, or with a linear head added."""
    if config.head_kind not in HEADS:
        raise ModelError(f"unknown head {config.head_kind!r}; known: {', '.join(HEADS)}. Update AAM")
    head: Head = HEADS[config.head_kind].from_config(config)
    if config.experts:
        head = MixtureHead(head, config.experts, config.routing_column, config.conditioning.embed_dim)
    if config.residual:
        return ResidualHead(MlpHead(config.head_width, (), 0.0, config.out_width), head)
    return head


def head_in_words(config: PredictorConfig, columns: Sequence[str]) -> str:
    """Describe the head of a configuration, such as "hidden layers 64-32, a linear head added".

    Args:
        columns: names of the categorical columns, in the order of ``config.conditioning``.
    """
    text = HEADS[config.head_kind].describe(config, columns)
    if config.experts:
        text = f"{config.experts} experts chosen by {columns[config.routing_column]}, each {text}"
    if config.residual:
        text += ", a linear head added"
    return text if config.layer_norm or config.features else f"{text}; its input is not normalized"
