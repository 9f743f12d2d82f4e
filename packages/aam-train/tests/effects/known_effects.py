"""Small studies with effects of known size, and a small model of them: for effect_cases.py and its tests.

A sample is a mixture of two clades of six ASVs each; ``share`` of its reads is of the first. Targets are made from the
share and from metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_models.config.encoder import ModelOptions
from aam_train.files import write_table
from aam_train.options.commands import PredictOptions
from aam_train.options.optimizer import CategoryOptimizerOptions, OptimizerOptions
from aam_train.options.recipe_configs import PredictConfig, TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.predict import predict
from aam_train.recipes.train import train

READS, PER_CLADE, BASES = 400, 6, 32
CLADES = ("ACACACAC", "GTTGTTGG")


def write_study(folder: Path, share: np.ndarray, columns: Mapping[str, Sequence[object]], seed: int) -> Path:
    """``table.tsv`` and ``metadata.tsv`` of samples whose reads are so by ``share`` [B] of the first clade."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    names = [clade + "".join(random.choice(list("ACGT"), BASES - 8)) for clade in CLADES for _ in range(PER_CLADE)]
    within = random.dirichlet(np.full(PER_CLADE, 3.0), (len(share), 2))
    shares = np.concatenate([share[:, None] * within[:, 0], (1 - share)[:, None] * within[:, 1]], axis=1)
    counts = np.array([random.multinomial(READS, p / p.sum()) for p in shares])
    ids = [f"s{i:04}" for i in range(len(share))]
    rows = ([name, *map(str, counts[:, a])] for a, name in enumerate(names))
    write_table(folder / "table.tsv", ["#OTU ID", *ids], rows)
    texts = [[i, *(str(values[r]) for values in columns.values())] for r, i in enumerate(ids)]
    write_table(folder / "metadata.tsv", ["sample-id", *columns], texts)
    return folder


def settings(study: Path, output: Path, target: str = "y", *, classifier: bool = False, **sections: Any) -> TrainConfig:
    """A model that learns the share within seconds."""
    options: dict[str, Any] = {
        "table": TableOptions(study / "table.tsv"),
        "metadata": MetadataOptions(study / "metadata.tsv"),
        "target": TargetOptions((target,), classifier, None if classifier else "zscore"),
        "run": RunOptions(output, epochs=40, batch_size=32, patience=0, device="cpu", num_workers=0),
        "sample": SampleOptions(rarefy_depth=0, max_bp=BASES),
        "split": SplitOptions(test_size=0.3, val_size=0.1),
        "model": ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1),
        "optimizer": OptimizerOptions(lr=5e-3),
    }
    return TrainConfig(**(options | sections))


@dataclass(frozen=True, eq=False)
class Judged:
    """Predictions of held-out samples (or of another study) beside the truth, by sample id."""

    ids: list[str]
    truth: np.ndarray
    predicted: np.ndarray

    def r2(self, chosen: np.ndarray | None = None) -> float:
        """Share of the variance explained; of some samples."""
        chosen = np.ones(len(self.ids), dtype=bool) if chosen is None else chosen
        truth, predicted = self.truth[chosen], self.predicted[chosen]
        return float(1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())

    def mae(self, chosen: np.ndarray) -> float:
        """Mean absolute error of some samples."""
        return float(np.abs(self.truth - self.predicted)[chosen].mean())


def column(study: Path, name: str, ids: Sequence[str]) -> np.ndarray:
    """Values of a metadata column, text."""
    header, *rows = [line.split("\t") for line in (study / "metadata.tsv").read_text().splitlines()]
    value = {row[0]: row[header.index(name)] for row in rows}
    return np.array([value[i] for i in ids])


def fit(config: TrainConfig) -> Path:
    """The run folder of a finished run."""
    return train(config, quiet=True)


def judge(run: Path, study: Path, target: str = "y", output: Path | None = None) -> Judged:
    """The run's held-out samples; with ``output``, all samples of a study, predicted by `aam predict`."""
    file = run / "predictions.tsv"
    if output is not None:
        options = PredictOptions(run, output, device="cpu")
        config = PredictConfig(TableOptions(study / "table.tsv"), options, MetadataOptions(study / "metadata.tsv"))
        predict(config, quiet=True)
        file = output
    rows = [line.split("\t") for line in file.read_text().splitlines()[1:]]
    ids = [row[0] for row in rows]
    return Judged(ids, column(study, target, ids).astype(float), np.array([float(row[1]) for row in rows]))


def categories(columns: str, **options: Any) -> dict[str, Any]:
    """Sections of a model that reads categories, which learn five times as fast as the rest."""
    return {
        "category": CategoryOptions((columns,), **options),
        "category_optimizer": CategoryOptimizerOptions(2.5e-2),
        "transfer": TransferOptions(),
    }
