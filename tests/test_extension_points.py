"""The number of source files that a new loss, metric, head, ... touches: each is added to a copy, and used.

CONTRIBUTING.md ("How to add ...") lists the same files.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
DATA, MODELS, TRAIN = "aam-data/src/aam_data", "aam-models/src/aam_models", "aam-train/src/aam_train"


class Extension(NamedTuple):
    """What is added, and a program that uses it.

    Attributes:
        limit: source files that it may touch.
        changes: by file, text to put behind an anchor (the anchor stays); a file without an anchor is new.
        use: a program that fails unless the addition works.
    """

    limit: int
    changes: dict[str, list[tuple[str, str]]]
    use: str


LOSS = Extension(
    2,
    {
        f"{TRAIN}/options/losses.py": [
            ('Literal["mse", "mae", "huber", "quantile", "asymmetric"', ', "logcosh"'),
            ("LOSSES = {", ""),
            (
                'f", too high costs {settings.over_penalty:g}, too low {settings.under_penalty:g}",\n    ),',
                '\n    "logcosh": LossKind(),',
            ),
        ],
        f"{TRAIN}/losses/regression.py": [
            (
                "REGRESSION_LOSSES: dict[str, Callable[[Tensor, LossParameters], Tensor]] = {",
                '\n    "logcosh": lambda residuals, parameters: residuals.squeeze(1).cosh().log(),',
            ),
        ],
    },
    """
import torch
from aam_train import TrainObjective
from aam_train.losses.targets import NumberLoss
(settings,) = TrainObjective(loss_type="logcosh").losses(("age",))
assert settings.in_words() == "logcosh"
loss = NumberLoss("logcosh")(torch.tensor([[0.0], [1.0]]), torch.tensor([0.0, 3.0]))
assert torch.allclose(loss, torch.tensor([0.0, 2.0]).cosh().log())
""",
)

METRIC = Extension(
    1,
    {
        f"{TRAIN}/options/metrics.py": [
            ('"balanced_accuracy", "f1", "auc"', ', "mcc"'),
            (
                '"auc": Metric("class", higher_is_better=True),',
                '\n    "mcc": Metric("class", higher_is_better=True, sklearn="matthews_corrcoef"),',
            ),
        ]
    },
    """
from pathlib import Path
import numpy as np
from aam_data import MetadataOptions, TableOptions, TargetOptions
from aam_train import RunOptions, TrainConfig, TransferOptions
from aam_train.evaluation.metrics import classification_metrics
found = classification_metrics(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]))
assert found["mcc"] == 1.0, found
files = TableOptions(Path("table")), MetadataOptions(Path("metadata"))
for classifier in (True, False):
    try:
        target, transfer = TargetOptions(("status",), classifier), TransferOptions(best_metric="mcc")
        TrainConfig(*files, target, RunOptions(Path("run")), transfer)
    except ValueError as error:
        assert not classifier and "--best-metric mcc" in str(error), error
    else:
        assert classifier
""",
)

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
            ("for encoder in (TransformerAsvEncoder,", " CompositionEncoder"),
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

READER = Extension(
    2,
    {
        f"{DATA}/readers/biom/fixed_width.py": [
            (
                "",
                '''"""Tables with columns of ten characters."""

from __future__ import annotations

from aam_data.readers.biom.tsv import read_tsv_table

MAGIC = b"FIXED10"


def read_fixed_width_table(content, path):
    lines = content.split(b"\\n")[1:]
    cells = [[line[i : i + 10].strip() for i in range(0, len(line), 10)] for line in lines if line]
    return read_tsv_table(b"\\n".join(b"\\t".join(row) for row in cells) + b"\\n", path)
''',
            )
        ],
        f"{DATA}/readers/biom/table.py": [
            (
                "            table = read_hdf5_table(BytesIO(content), path, max_bytes)",
                "\n        elif content.startswith(MAGIC):"
                "\n            table, notes = read_fixed_width_table(content, path)",
            ),
            (
                "from aam_data.readers.biom.checks import cells_of, check_fractions",
                "\nfrom aam_data.readers.biom.fixed_width import MAGIC, read_fixed_width_table",
            ),
        ],
    },
    """
from pathlib import Path
from aam_data import read_table
rows = [("#OTU ID", "S1", "S2"), ("ACGTACGT", "3", "0"), ("ACGTTTTT", "1", "5")]
Path("table.txt").write_text("FIXED10\\n" + "".join("".join(f"{c:<10}" for c in row) + "\\n" for row in rows))
table = read_table(Path("table.txt")).table
assert table.sample_ids.tolist() == ["S1", "S2"] and table.depths().tolist() == [4, 5]
""",
)

AUGMENTATION = Extension(
    2,
    {
        f"{TRAIN}/data/corruptions.py": [
            (
                "Corruptions = tuple[Corruption, ...]  # applied in this order",
                '''


@dataclass(frozen=True)
class SwapBases:
    """Replace A by T."""

    def apply(self, batch: BatchArrays) -> None:
        """Change tokens in place."""
        batch.tokens[batch.tokens == alphabet.A] = alphabet.T
''',
            ),
            (
                "    ratio = options.nuc_mask_ratio\n",
                "    if options.swap_bases:\n        return (SwapBases(),)\n",
            ),
        ],
        f"{TRAIN}/options/objective.py": [
            (
                '"""Share of the bases of each ASV that is masked."""',
                '\n    swap_bases: bool = False\n    """Replace A by T."""',
            )
        ],
    },
    """
from pathlib import Path
import numpy as np
from aam_data import SampleOptions, SimulateOptions, SplitOptions, TableOptions, read_study, simulate_study
from aam_data import write_simulated_study
from aam_data.splits.selection import make_splits
from aam_train import MaskingOptions, PretrainConfig, PretrainObjective, RunOptions
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import build_data
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.reporting.records import Reporters
write_simulated_study(simulate_study(SimulateOptions(samples=24, asvs=60)), Path("study"))
config = PretrainConfig(TableOptions(Path("study/table.biom")), RunOptions(Path("run")),
    objective=PretrainObjective(0.0, 1.0, 0.0), masking=MaskingOptions(swap_bases=True))
study = read_study(config.table)
(splits,) = make_splits(study, np.arange(24), config.split, 1, None)
data = build_data(config, study, splits, depth=100, max_bp=150, reporter=Reporters())
objective = build_objective(config.weights(), Sources(masking=config.masking))
batch = data.maker[BatchRequest(data.rows["train"], 0, objective.corruptions)]
assert not (batch.tokens == 1).any() and (batch.tokens == 4).any()
""",
)

EXTENSIONS = {
    "loss": LOSS,
    "metric": METRIC,
    "head": HEAD,
    "objective": OBJECTIVE,
    "encoder": ENCODER,
    "reader": READER,
    "augmentation": AUGMENTATION,
}


def add(extension: Extension, packages: Path) -> None:
    """Apply the changes to a copy of the packages."""
    for name, changes in extension.changes.items():
        file = packages / name
        for anchor, addition in changes:
            if not anchor:
                assert not file.exists()
                file.write_text(addition, encoding="utf-8")
                continue
            text = file.read_text("utf-8")
            assert text.count(anchor) == 1, f"{name}: {anchor!r} occurs {text.count(anchor)} times"
            file.write_text(text.replace(anchor, anchor + addition), encoding="utf-8")


@pytest.mark.parametrize("name", EXTENSIONS)
def test_an_extension_touches_few_files_and_works(name: str, tmp_path: Path) -> None:
    extension = EXTENSIONS[name]
    assert len(extension.changes) <= extension.limit
    packages = tmp_path / "packages"
    for source in (DATA, MODELS, TRAIN):
        shutil.copytree(ROOT / "packages" / source, packages / source, ignore=shutil.ignore_patterns("__pycache__"))
    add(extension, packages)
    paths = [str((packages / source).parent) for source in (DATA, MODELS, TRAIN)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    program = extension.use + f"\nimport aam_train; assert aam_train.__file__.startswith({str(packages)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_contributing_lists_the_files_of_each_extension() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = dict(re.findall(r"^\| (an? [\w ]+) \| (.*) \|$", text, flags=re.MULTILINE))
    for name, extension in EXTENSIONS.items():
        (row,) = [files for what, files in table.items() if name in what]
        existing = {path for path in extension.changes if (ROOT / "packages" / path).is_file()}
        assert {path.split("/src/")[1] for path in existing} <= set(re.findall(r"`(aam_\w+/[\w/]+\.py)`", row)), name
