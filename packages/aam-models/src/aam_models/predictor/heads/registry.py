"""Which head a configuration asks for."""

from __future__ import annotations

from collections.abc import Callable

from aam_models.config.predictor import PredictorConfig
from aam_models.predictor.heads.film import FilmHead
from aam_models.predictor.heads.mixture import MixtureHead
from aam_models.predictor.heads.mlp import MlpHead
from aam_models.predictor.heads.residual import ResidualHead

Expert = MlpHead | FilmHead
Body = Expert | MixtureHead


def _plain(config: PredictorConfig) -> MlpHead:
    return MlpHead(config.encoder.width, config.hidden_dims, config.dropout, config.out_width)


def _film(config: PredictorConfig) -> FilmHead:
    sizes = config.encoder.width, config.hidden_dims, config.dropout, config.out_width
    return FilmHead(*sizes, config.film_columns, config.conditioning.embed_dim)


EXPERTS: dict[str, Callable[[PredictorConfig], Expert]] = {"linear": _plain, "mlp": _plain, "film": _film}


def build_head(config: PredictorConfig) -> Body | ResidualHead:
    """A head with freshly drawn weights: linear, MLP or FiLM; several of it as experts; a linear one beside them."""
    expert = EXPERTS[config.head_kind](config)
    body: Body = expert
    if config.experts:
        body = MixtureHead(expert, config.experts, config.routing_column, config.conditioning.embed_dim)
    if config.residual:
        return ResidualHead(MlpHead(config.encoder.width, (), 0.0, config.out_width), body)
    return body
