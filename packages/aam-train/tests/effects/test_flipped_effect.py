"""A study in which the location turns the effect of the microbes round, from pretraining to the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.options.targets import TargetOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor_options import HeadOptions
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train

STUDY = SimulateOptions(samples=240, asvs=80, hosts=120, bases=40, depth=400, seed=3)
SIZE = ModelOptions("tiny", embedding_dim=32, attention_heads=2, attention_layers=1)
MODELS = {
    "concat": (HeadOptions(target_layer_norm=False), CategoryOptions(("location",))),
    "film": (HeadOptions((16,), film_conditioning=("location",)), CategoryOptions()),
    "experts": (HeadOptions(moe_experts=4, moe_routing="location"), CategoryOptions()),
}


def write_flipped(folder: Path) -> MetadataOptions:
    """Metadata with ``flipped``: degree-days below or above their mean, turned round in two of the four locations."""
    with (folder / "metadata.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, dialect="excel-tab"))
    mean = sum(float(row["degree_days"]) for row in rows) / len(rows)
    for row in rows:
        sign = 1 if row["location"] in ("coast", "hill") else -1
        row["flipped"] = str(sign * (float(row["degree_days"]) - mean))
    with (folder / "flipped.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), dialect="excel-tab")
        writer.writeheader()
        writer.writerows(rows)
    return MetadataOptions(folder / "flipped.tsv")


@pytest.mark.slow
def test_film_and_experts_learn_what_concat_and_the_forest_do_not(tmp_path: Path) -> None:
    write_simulated_study(simulate_study(STUDY), tmp_path)
    table, metadata = TableOptions(tmp_path / "table.biom"), write_flipped(tmp_path)
    split = SplitOptions(group_column="host", test_size=0.3)

    def run(name: str, epochs: int, batch_size: int) -> RunOptions:
        return RunOptions(tmp_path / name, epochs, batch_size, patience=0, device="cpu", num_workers=0)

    encoder = pretrain(
        PretrainConfig(
            table,
            run("encoder", 4, 16),
            PhylogenyOptions(tmp_path / "tree.nwk"),
            metadata,
            SampleOptions(rarefy_depth=200),
            split,
            SIZE,
            optimizer=OptimizerOptions(lr=3e-3),
        ),
        quiet=True,
    )
    found = {}
    for name, (head, category) in MODELS.items():
        config = TrainConfig(
            table,
            metadata,
            TargetOptions(("flipped",)),
            run(name, 60, 32),
            TransferOptions(encoder, freeze_base=True),
            sample=SampleOptions(rarefy_depth=0),
            split=split,
            category=category,
            head=head,
            optimizer=OptimizerOptions(lr=1e-2),
        )
        results = json.loads((train(config, quiet=True) / "report" / "results.json").read_text())
        found[name] = {model: metrics["r2"] for model, metrics in results["targets"]["flipped"].items()}
    assert found["concat"]["aam"] < 0.1
    assert found["film"]["random_forest"] < 0.1  # it is given the location too
    assert found["film"]["aam"] > 0.25
    assert found["experts"]["aam"] > 0.25
