"""Metadata as input on a real study: `ibd` of the ibd study, with and without sex and body mass index.

Pretrains a small encoder on unweighted UniFrac without labels, freezes it, and trains classifiers of Crohns against
Control over five folds of whole hosts, on the samples with at least 1,000 reads: from the microbes alone, and with
`sex` as category and `body_mass_index` as covariate, for each requested fusion. Baselines on the same folds are a
random forest with the same input and one on the metadata alone. About five minutes on two idle cores.

There are 24 hosts, so differences below 0.05 AUC mean nothing.

    python benchmarks/ibd_conditioning.py --json conditioning.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from machine import DATA, finish

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_models.config.conditioning import ConditioningOptions
from aam_models.config.encoder import ModelOptions
from aam_train.options.objective import PretrainObjective
from aam_train.options.optimizer import CategoryOptimizerOptions, OptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.pretrain import pretrain as run_pretrain
from aam_train.recipes.train import train as run_train

DEPTH, HOSTS, FOLDS = 1000, "host_subject_id", 5
TABLE = TableOptions(DATA / "ibd" / "table.biom")
METADATA = MetadataOptions(DATA / "ibd" / "metadata.tsv")
READS = CategoryOptions(("sex",), ("body_mass_index",))


def pretrain(folder: Path, epochs: int) -> Path:
    """Pretrain a small encoder on all sufficiently deep samples, without labels."""
    config = PretrainConfig(
        table=TABLE,
        run=RunOptions(folder, epochs=epochs, device="cpu", num_workers=0),
        phylogeny=PhylogenyOptions(tree=DATA / "ibd" / "insertion-tree.qza"),
        sample=SampleOptions(rarefy_depth=DEPTH, max_bp=100),
        split=SplitOptions(test_size=0.0, val_size=0.1),
        model=ModelOptions(embedding_dim=32, attention_heads=2, attention_layers=1),
        objective=PretrainObjective(masked_base_weight=0.0, masked_count_weight=0.0),
        optimizer=OptimizerOptions(lr=2e-3),
    )
    return run_pretrain(config, quiet=True)


def train(folder: Path, encoder: Path, epochs: int, **sections: Any) -> dict[str, dict[str, float]]:
    """Return metrics of the held-out samples of all folds, for the model and its baselines."""
    config = TrainConfig(
        table=TABLE,
        metadata=METADATA,
        target=TargetOptions(("ibd",), classifier=True),
        run=RunOptions(folder, epochs=epochs, patience=0, device="cpu", num_workers=0),
        transfer=TransferOptions(encoder, freeze_base=True, cv=FOLDS),
        split=SplitOptions(group_column=HOSTS, val_size=0.0),  # two hosts are too few to choose the best epoch
        optimizer=OptimizerOptions(lr=5e-3),
        **sections,
    )
    run = run_train(config, quiet=True)
    results: dict[str, dict[str, float]] = json.loads((run / "report" / "results.json").read_text())["targets"]["ibd"]
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fusions", nargs="+", default=["concat"], help="see --categorical-fusion")
    parser.add_argument("--encoder", type=Path, help="run folder of an earlier pretraining by this script")
    parser.add_argument("--pretrain-epochs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30, help="of each fold")
    parser.add_argument("--json", type=Path, help="also write the results to this JSON file")
    options = parser.parse_args()

    report: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        encoder = options.encoder or pretrain(folder / "encoder", options.pretrain_epochs)
        settings: dict[str, dict[str, Any]] = {"microbes alone": {}}
        for kind in options.fusions:
            settings[f"with sex and bmi, {kind}"] = {
                "category": READS,
                "conditioning": ConditioningOptions(categorical_fusion=kind),
                "category_optimizer": CategoryOptimizerOptions(1e-2),
            }
        for number, (name, sections) in enumerate(settings.items()):
            found = train(folder / str(number), encoder, options.epochs, **sections)
            report[name] = found
            print(name)
            for model, metrics in found.items():
                print(f"  {model:<16}AUC {metrics['auc']:.3f}, balanced accuracy {metrics['balanced_accuracy']:.3f}")
    finish(report, options.json)


if __name__ == "__main__":
    main()
