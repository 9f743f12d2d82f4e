"""A head on sines of the sample embedding."""

from .extension import MODELS, Extension

HEAD = Extension(
    3,
    {
        f"{MODELS}/predictor/heads/sine.py": [
            (
                "",
                '''"""A head on sines of the sample embedding."""

from __future__ import annotations

from aam_models.predictor.heads.base import HeadOutput
from aam_models.predictor.heads.mlp import MlpHead


class SineHead(MlpHead):
    kind = "sine"

    def forward(self, x, conditions):
        return super().forward(x.sin(), conditions)
''',
            )
        ],
        f"{MODELS}/predictor/heads/registry.py": [
            ("for head in (MlpHead, FilmHead", ", SineHead"),
            (
                "from aam_models.predictor.heads.residual import ResidualHead",
                "\nfrom aam_models.predictor.heads.sine import SineHead",
            ),
        ],
        f"{MODELS}/config/predictor_options.py": [
            (
                '"""Widths of the head\'s hidden layers',
                '"""\n    sine_head: bool = False\n    """Read sines of the embedding',
            ),
            ('"head_kind": ', '"sine" if self.sine_head else '),
        ],
    },
    """
from dataclasses import replace
import torch
from aam_models import HeadOptions, build_predictor, ModelOptions
from aam_models.config.encoder import PRESETS
from aam_models.storage.config_json import config_from_json, config_to_json
from aam_train.losses.output_layout import OutputLayout
from aam_train.setup.architecture import new_encoder_config, predictor_config
encoder = new_encoder_config(ModelOptions(preset="tiny"), 20, {})
config = predictor_config(encoder, HeadOptions(sine_head=True), OutputLayout(1))
assert config_from_json(config_to_json(config), "config.json") == config
model = build_predictor(config)
assert type(model.head).__name__ == "SineHead"
assert model.head(torch.zeros(2, 64), None).outputs.shape == (2, 1)
""",
)
