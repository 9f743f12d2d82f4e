"""Speed-up of an epoch of `aam train` with a frozen encoder, on ibd, excluding validation.

Three runs start from one (untrained) encoder: training the whole model; frozen with rarefaction redrawn every epoch
(cached ASV embeddings); frozen without rarefaction (cached sample embeddings).

    python benchmarks/frozen_epochs.py --preset tiny --json frozen.json
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from machine import DATA, finish

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_models.config.encoder import ModelOptions
from aam_train.options.objective import PretrainObjective
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train
from aam_train.reporting.jsonl import read_records

IBD = DATA / "ibd"
TABLE, METADATA = TableOptions(IBD / "table.biom"), MetadataOptions(IBD / "metadata.tsv")
SPLIT = SplitOptions(group_column="host_subject_id")


def epoch_seconds(folder: Path, encoder: Path, *, freeze: bool, depth: int, epochs: int) -> float:
    """Return the median seconds of an epoch's training steps."""
    train(
        TrainConfig(
            table=TABLE,
            metadata=METADATA,
            target=TargetOptions(("ibd",), classifier=True),
            run=RunOptions(folder, epochs=epochs, patience=0),
            transfer=TransferOptions(encoder, freeze_base=freeze),
            sample=SampleOptions(rarefy_depth=depth),
            split=SPLIT,
        ),
        quiet=True,
    )
    return median(r["seconds"] for r in read_records(folder / "metrics.jsonl") if r["kind"] == "epoch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny", choices=["tiny", "base"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pretrain(
            PretrainConfig(
                table=TABLE,
                run=RunOptions(folder / "encoder", epochs=1),
                phylogeny=PhylogenyOptions(tree=IBD / "insertion-tree.qza"),
                sample=SampleOptions(rarefy_depth=5000),
                model=ModelOptions(preset=options.preset),
                objective=PretrainObjective(masked_base_weight=0, masked_count_weight=0),
            ),
            quiet=True,
        )
        encoder = folder / "encoder"
        seconds = {
            "whole model learns, redrawn": epoch_seconds(folder / "a", encoder, freeze=False, depth=5000, epochs=2),
            "frozen, redrawn": epoch_seconds(folder / "b", encoder, freeze=True, depth=5000, epochs=20),
            "whole model learns, as is": epoch_seconds(folder / "c", encoder, freeze=False, depth=0, epochs=2),
            "frozen, as is": epoch_seconds(folder / "d", encoder, freeze=True, depth=0, epochs=20),
        }
    for name, value in seconds.items():
        print(f"{name:32}{value:9.3f} s per epoch")
    ratios = {
        "frozen, redrawn": seconds["whole model learns, redrawn"] / seconds["frozen, redrawn"],
        "frozen, as is": seconds["whole model learns, as is"] / seconds["frozen, as is"],
    }
    for name, value in ratios.items():
        print(f"{name}: {value:.1f} times faster than training the whole model")
    finish({"preset": options.preset, "seconds": seconds, "ratios": ratios}, options.json)


if __name__ == "__main__":
    main()
