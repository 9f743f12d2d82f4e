"""A pretraining objective: Shannon entropy of a sample."""

from .extension import MODELS, TRAIN, Extension

OBJECTIVE = Extension(
    4,
    {
        f"{MODELS}/encoder/pretraining_heads.py": [
            (
                "PRETRAINING_HEADS: dict[str, PretrainingHead] = {",
                '\n    "shannon": PretrainingHead("shannon_head", "samples", lambda config: ValueHead(config.width)),',
            )
        ],
        f"{TRAIN}/objectives/shannon.py": [
            (
                "",
                '''"""Shannon entropy of a sample\'s abundances."""

from __future__ import annotations

import numpy as np
import torch

from aam_models.requested import requested_heads
from aam_train.losses.objective import EVERY_PART
from aam_train.objectives.base import PretrainingObjective, Validated


class ShannonObjective(PretrainingObjective):
    name = "shannon"
    trains = EVERY_PART

    @property
    def reads(self):
        return requested_heads(self.name)

    reads_in_validation = reads

    def count(self, batch, true):
        return batch.n_samples

    def loss(self, encoder, encoded, batch, true, gather):
        share = batch.counts / torch.zeros(batch.n_samples).index_add(0, batch.sample_of, batch.counts)[batch.sample_of]
        entropy = torch.zeros(batch.n_samples).index_add(0, batch.sample_of, -share * share.log())
        return (encoded.predictions[self.name] - entropy).square().sum()

    def validate(self, step, samples, outputs):
        return Validated({"shannon_mean": float(np.mean(outputs.values[self.name]))}, 0.0)
''',
            )
        ],
        f"{TRAIN}/objectives/registry.py": [
            ("        TaxonomyObjective,", "\n        ShannonObjective,"),
            (
                "from aam_train.objectives.masked_bases import MaskedBasesObjective",
                "\nfrom aam_train.objectives.shannon import ShannonObjective",
            ),
        ],
        f"{TRAIN}/options/objective.py": [
            (
                '"""Weight of predicting the taxon of each ASV at every rank. Default: 1 with --taxonomy, else 0."""',
                '\n    shannon_weight: float = 0.0\n    """Weight of predicting Shannon entropies."""',
            ),
            ('"taxonomy": taxonomy,', '\n            "shannon": self.shannon_weight,'),
        ],
    },
    """
from pathlib import Path
from aam_data import SampleOptions, SimulateOptions, TableOptions, simulate_study, write_simulated_study
from aam_models import ModelOptions, read_config
from aam_train import PretrainConfig, PretrainObjective, RunOptions, pretrain, read_records
write_simulated_study(simulate_study(SimulateOptions(samples=24, asvs=60)), Path("study"))
run = pretrain(PretrainConfig(
    TableOptions(Path("study/table.biom")), RunOptions(Path("run"), epochs=1), sample=SampleOptions(rarefy_depth=100),
    model=ModelOptions(preset="tiny"), objective=PretrainObjective(0.0, 0.0, 0.0, shannon_weight=1.0),
), quiet=True)
assert read_config(run / "checkpoints" / "best").objectives == ("shannon",)
records = list(read_records(run / "metrics.jsonl"))
assert any("shannon" in record.get("loss", {}) for record in records)
assert any("shannon_mean" in record.get("validation", {}) for record in records)
""",
)
