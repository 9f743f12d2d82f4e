"""An ASV encoder: the composition of bases."""

from .extension import MODELS, TRAIN, Extension

ENCODER = Extension(
    4,
    {
        f"{MODELS}/encoder/asv/composition.py": [
            (
                "",
                '''"""ASVs by their composition alone: a linear map of the shares of bases."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from aam_models.batch.batch import AsvOutput
from aam_models.encoder.asv.base import AsvEncoder
from aam_models.encoder.level import MemoryPrior
from aam_models.requested import EVERYTHING


class CompositionEncoder(AsvEncoder):
    kind = "composition"

    def __init__(self, config):
        super().__init__()
        self.size = config.alphabet.size
        self.pooling = nn.Linear(self.size, config.width)
        self.nucleotide_head = None

    @classmethod
    def from_config(cls, config):
        return cls(config)

    def flops(self, batch):
        return batch.n_asvs * 2 * self.pooling.in_features * self.pooling.out_features

    def memory_prior(self, *, frozen):
        return MemoryPrior(kept=1.0, always=1.0)

    def forward(self, batch, requested=EVERYTHING):
        return AsvOutput(self.pooling(F.one_hot(batch.tokens.long(), self.size).float().mean(dim=1)), None)
''',
            )
        ],
        f"{MODELS}/encoder/asv/registry.py": [
            ("for encoder in (TransformerAsvEncoder,", " CompositionEncoder,"),
            (
                "from aam_models.encoder.asv.base import AsvEncoder",
                "\nfrom aam_models.encoder.asv.composition import CompositionEncoder",
            ),
        ],
        f"{MODELS}/config/encoder.py": [
            (
                '"""The size of the encoder."""',
                '\n\n    encoder_type: str = "transformer"\n    """Kind of the ASV encoder."""\n',
            ),
        ],
        f"{TRAIN}/setup/architecture.py": [
            ("    config = EncoderConfig(", "\n        asv_encoder=options.encoder_type,"),
        ],
    },
    """
from pathlib import Path
from aam_data import SampleOptions, SimulateOptions, TableOptions, simulate_study, write_simulated_study
from aam_models import ModelOptions, load_model
from aam_train import PretrainConfig, PretrainObjective, RunOptions, pretrain
write_simulated_study(simulate_study(SimulateOptions(samples=24, asvs=60)), Path("study"))
run = pretrain(PretrainConfig(
    TableOptions(Path("study/table.biom")), RunOptions(Path("run"), epochs=1), sample=SampleOptions(rarefy_depth=100),
    model=ModelOptions(preset="tiny", encoder_type="composition"), objective=PretrainObjective(0.0, 0.0, 1.0),
), quiet=True)
assert type(load_model(run / "checkpoints" / "best").asv_encoder).__name__ == "CompositionEncoder"
""",
)
