"""Closed sets are listed once: the choices of an option are the keys of the registry that builds them."""

from __future__ import annotations

from typing import get_args

from aam_models.config.conditioning import FUSION_OPTIONS, FusionConfig, FusionKind
from aam_models.config.encoder import PRESETS, AbundanceMethod, EncoderConfig, Preset
from aam_models.config.predictor import LinkConfig, PredictorConfig
from aam_models.config.predictor_options import OutputActivation
from aam_models.encoder.abundance import ABUNDANCE_METHODS
from aam_models.encoder.asv.registry import ASV_ENCODERS
from aam_models.predictor.fusion.registry import FUSIONS
from aam_models.predictor.heads.registry import HEADS


def test_choices_are_the_keys_of_their_registries() -> None:
    assert set(FUSIONS) == {FusionConfig().kind, "head", *get_args(FusionKind)}
    assert set(FUSION_OPTIONS) <= set(get_args(FusionKind))
    assert tuple(ABUNDANCE_METHODS) == get_args(AbundanceMethod)
    assert tuple(PRESETS) == get_args(Preset)
    assert LinkConfig().activation in get_args(OutputActivation)


def test_configurations_name_kinds_that_exist(config: EncoderConfig) -> None:
    assert {config.asv_encoder, "none"} == set(ASV_ENCODERS)
    plain = PredictorConfig(config, out_width=1)
    assert plain.head_kind in HEADS
