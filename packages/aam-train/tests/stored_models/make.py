"""Makes the model folders of this version's format: ``python make.py v1``.

They are made once, by the version that first writes a format, and kept for ever: every later version must load them and
predict what they predicted. The table and the metadata are made with them (by the first of them) and are theirs too.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_data.study.study import read_study
from aam_models.config.conditioning import ConditioningOptions
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor_options import HeadOptions, OutputOptions
from aam_models.requested import EMBEDDINGS
from aam_models.storage.model_folder import load_model
from aam_train.data.run_data import build_maker
from aam_train.engine.step import Step
from aam_train.evaluation.inference import run_samples
from aam_train.options.commands import PredictOptions
from aam_train.options.objective import TrainObjective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import PredictConfig, PretrainConfig, TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.predict import predict
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train
from aam_train.runs.records import read_preprocessor

HERE = Path(__file__).resolve().parent
TABLE, METADATA = HERE / "table.tsv", HERE / "metadata.tsv"
STUDY = SimulateOptions(samples=48, asvs=30, hosts=12, locations=2, bases=40, depth=200, seed=3)
PREDICTED = 12  # samples of the small table


def make(version: Path) -> None:
    """Pretrain and train tiny models; their best checkpoints become ``encoder``, ``number`` and ``classes``."""
    # relative paths, because a model folder remembers those of its inputs
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        work = Path()
        write_simulated_study(simulate_study(STUDY), work / "study")
        if not TABLE.exists():
            write_small_study(work / "study")
        table = TableOptions(work / "study" / "table.biom")
        metadata = MetadataOptions(work / "study" / "metadata.tsv")
        sample, split = SampleOptions(rarefy_depth=50, max_bp=40), SplitOptions(group_column="host", val_size=0.2)
        small = {"epochs": 2, "batch_size": 8, "device": "cpu", "num_workers": 0}
        fast = OptimizerOptions(lr=3e-3)
        encoder = pretrain(
            PretrainConfig(
                table=table,
                run=RunOptions(work / "encoder", **small),
                phylogeny=PhylogenyOptions(tree=work / "study" / "tree.nwk", unifrac_metric="combined"),
                metadata=metadata,
                sample=sample,
                split=split,
                model=ModelOptions(
                    preset="tiny",
                    embedding_dim=8,
                    attention_heads=2,
                    attention_layers=1,
                    count_embedding_method="film",
                    bases_per_token=2,
                ),
                optimizer=fast,
            )
        )
        number = TargetOptions(("degree_days",), target_transform="zscore-category", normalize_by=("location",))
        common = {"table": table, "metadata": metadata, "split": split, "optimizer": fast}
        common["transfer"] = TransferOptions(encoder)
        train(
            TrainConfig(
                target=number,
                run=RunOptions(work / "number", **small),
                head=HeadOptions((4,)),
                category=CategoryOptions(("location",), (), None, "auto"),
                conditioning=ConditioningOptions(categorical_embed_dim=3, categorical_fusion="gmu"),
                link=OutputOptions(conditional_output_scaling=("location",)),
                objective=TrainObjective(loss_type="quantile"),
                **common,
            )
        )
        classes = TargetOptions(("status",), classifier=True)
        film = HeadOptions((4,), film_conditioning=("location",))
        train(TrainConfig(target=classes, run=RunOptions(work / "classes", **small), head=film, **common))
        for name in ("encoder", "number", "classes"):
            shutil.copytree(work / name / "checkpoints" / "best", version / name)
        write_embeddings(version / "encoder", version / "encoder.tsv")
        for name in ("number", "classes"):
            predict(
                PredictConfig(
                    TableOptions(TABLE),
                    PredictOptions(version / name, version / f"{name}.tsv"),
                    MetadataOptions(METADATA),
                )
            )
            (version / f"{name}_full.tsv").unlink()


def write_embeddings(folder: Path, file: Path) -> None:
    """Sample embeddings of the small table."""
    preprocessor, study = read_preprocessor(folder), read_study(TableOptions(TABLE))
    rarefier = Rarefier(study.table, preprocessor.rarefy_depth, preprocessor.seed)
    maker = build_maker(study, rarefier, preprocessor, 0)
    step = Step(load_model(folder), torch.device("cpu"))
    embeddings = run_samples(step, maker, np.arange(study.table.n_samples), 32, EMBEDDINGS).embeddings
    lines = ["\t".join(["sample-id", *(f"D{d + 1}" for d in range(embeddings.shape[1]))])]
    for sample_id, row in zip(study.table.sample_ids, embeddings, strict=True):
        lines.append("\t".join([sample_id, *(f"{value:.9g}" for value in row)]))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_small_study(folder: Path) -> None:
    """The first samples of the study as text."""
    study = read_study(TableOptions(folder / "table.biom"), MetadataOptions(folder / "metadata.tsv"))
    assert study.metadata is not None
    counts = study.table.take_counts(np.arange(PREDICTED))
    dense = np.zeros((PREDICTED, study.table.n_features))
    rows = np.repeat(np.arange(PREDICTED), np.diff(counts.indptr))
    dense[rows, counts.indices] = counts.counts
    ids = list(study.table.sample_ids[:PREDICTED])
    lines = ["\t".join(["#OTU ID", *ids])]
    lines += ["\t".join([study.table.feature_ids[a], *(f"{n:g}" for n in dense[:, a])]) for a in range(dense.shape[1])]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    location = study.metadata.text("location")[:PREDICTED]
    lines = ["sample-id\tlocation", *(f"{i}\t{place}" for i, place in zip(ids, location, strict=True))]
    METADATA.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(HERE / sys.argv[1])
