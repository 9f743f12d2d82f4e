"""Settings: ranges of options, rules across sections, and the flags that the messages name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_models.config.encoder import ModelOptions
from aam_train.options.commands import DemoOptions, PredictOptions
from aam_train.options.compute import ComputeOptions
from aam_train.options.objective import MaskingOptions, PretrainObjective, TrainObjective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.run import RunOptions, TransferOptions

OUT, TABLE = Path("out"), TableOptions(Path("table.biom"))
FRACTIONS = TableOptions(Path("table.biom"), relative_abundance=True)
TREE = PhylogenyOptions(tree=Path("tree.nwk"))
MATRIX = PhylogenyOptions(unifrac_matrix=Path("unifrac.h5"))
METADATA = MetadataOptions(Path("metadata.tsv"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RunOptions(OUT, epochs=0), "--epochs 0: must be 1 or more"),
        (lambda: RunOptions(OUT, batch_size=0), "--batch-size 0: must be 1 or more"),
        (lambda: RunOptions(OUT, patience=-1), "--patience -1: must be 0"),
        (lambda: RunOptions(OUT, seed=-1), "--seed -1: must be between 0 and 2^63 - 1"),
        (lambda: RunOptions(OUT, seed=2**64), "--seed 18446744073709551616: must be between"),
        (lambda: DemoOptions(OUT, seed=-1), "--seed -1: must be between"),
        (lambda: PredictOptions(OUT, Path("p.csv")), "--output p.csv: is written as tab-separated text, so use .tsv"),
        (lambda: PredictOptions(OUT, Path("p.tsv.gz")), "--output p.tsv.gz: is written as tab-separated text"),
        (lambda: RunOptions(OUT, device="gpu"), "--device gpu: must be auto, cpu, cuda or cuda:N"),
        (lambda: RunOptions(OUT, num_workers=-1), "--num-workers -1: must be between 0 and 256"),
        (lambda: PredictOptions(OUT, OUT, batch_size=0), "--batch-size 0: must be 1 or more"),
        (lambda: PredictOptions(OUT, OUT, device="cuda:x"), "--device cuda:x: must be"),
        (lambda: OptimizerOptions(lr=0.0), "--lr 0.0: must be a number above 0"),
        (lambda: OptimizerOptions(lr=float("nan")), "--lr nan: must be a number above 0"),
        (lambda: OptimizerOptions(lr=1e9), "--lr 1000000000.0: must be at most 10"),
        (lambda: OptimizerOptions(weight_decay=-1.0), "--weight-decay -1.0: must be a number of 0 or more"),
        (lambda: OptimizerOptions(warmup_steps=-1), "--warmup-steps -1: must be 0 or more"),
        (lambda: OptimizerOptions(max_grad_norm=float("inf")), "--max-grad-norm inf: must be a number of 0"),
        (lambda: MaskingOptions(nuc_mask_ratio=0.0), "--nuc-mask-ratio 0.0: must be above 0 and below 1"),
        (lambda: MaskingOptions(count_mask_ratio=1.0), "--count-mask-ratio 1.0: must be above 0 and below 1"),
        (lambda: PretrainObjective(unifrac_weight=-1.0), "--unifrac-weight -1.0: must be a number of 0 or more"),
        (lambda: TrainObjective("mse", 0.5), "--huber-delta only applies to --loss-type huber (got mse)"),
        (
            lambda: PhylogenyOptions(unifrac_matrix=OUT, unifrac_metric="combined"),
            "--unifrac-metric combined needs --tree: a distance matrix does not contain Faith's PD",
        ),
        (
            lambda: PhylogenyOptions(tree=OUT, unifrac_alpha=0.5),
            "--unifrac-alpha only applies to --unifrac-metric generalized (got unifrac)",
        ),
        (
            lambda: OptimizerOptions(scheduler="cosine", scheduler_t0=3),
            "--scheduler-t0 only applies to --scheduler cosine_restarts (got cosine)",
        ),
        (
            lambda: OptimizerOptions(scheduler="onecycle", warmup_steps=3),
            "--warmup-steps only applies to --scheduler warmup_cosine or cosine or cosine_restarts or plateau (got one",
        ),
        (
            lambda: OptimizerOptions(warmup_steps=3, warmup_fraction=0.1),
            "--warmup-steps and --warmup-fraction cannot be combined; use one of them",
        ),
        (
            lambda: OptimizerOptions(lr=0.1, scheduler="plateau", scheduler_min_lr=0.1),
            "--scheduler-min-lr 0.1: must be below --lr 0.1",
        ),
        (lambda: PredictOptions(OUT, OUT, prediction_passes=101), "--prediction-passes 101: must be between 1 and 100"),
        (
            lambda: ModelOptions(count_embedding=False, count_embedding_method="film"),
            "--count-embedding-method film and --no-count-embedding cannot be combined",
        ),
        (
            lambda: ComputeOptions(deterministic=True, attn_implementation="mem_efficient"),
            "--deterministic and --attn-implementation mem_efficient cannot be combined",
        ),
        (lambda: TrainObjective(target_weight=0.0), "--target-weight 0.0: must be a number above 0"),
        (lambda: TrainObjective(unifrac_weight=-0.5), "--unifrac-weight -0.5: must be a number of 0 or more"),
        (lambda: TransferOptions(freeze_base=True), "--freeze-base needs --pretrained-encoder"),
        (lambda: TransferOptions(cv=1), "--cv 1: must be 0 (off) or between 2 and 100"),
        (lambda: TransferOptions(cv=3, repeats=0), "--repeats 0: must be between 1 and 100"),
        (lambda: TransferOptions(repeats=2), "--repeats 2 needs --cv: it repeats its folds"),
        (lambda: TransferOptions(cv=3, cv_by="study"), "--cv-by study and --cv 3 cannot be combined; use one of them"),
        (lambda: TransferOptions(ensemble=1), "--ensemble 1: must be 0 or 2 to 100"),
        (lambda: TransferOptions(ensemble=101), "--ensemble 101: must be 0 or 2 to 100"),
        (lambda: TransferOptions(ensemble=5, cv=3), "--ensemble 5 and --cv cannot be combined: the models of the"),
        (lambda: TransferOptions(ensemble=5, cv_by="study"), "--ensemble 5 and --cv-by cannot be combined"),
        (lambda: TransferOptions(baselines="forest"), "--baselines forest: 'forest' is none of none, fast, all, "),
    ],
)
def test_ranges(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({}, "--tree (or --unifrac-matrix) is needed for the phylogenetic objective. Use --unifrac-weight 0"),
        ({"objective": PretrainObjective(0.0, 0.0, 0.0)}, "All objectives have weight 0, so there is nothing to learn"),
        (
            {"phylogeny": TREE, "objective": PretrainObjective(taxonomy_weight=1.0)},
            "--taxonomy-weight above 0 needs --taxonomy",
        ),
        (
            {"phylogeny": TREE, "objective": PretrainObjective(best_metric="faith_pd_r")},
            "--best-metric faith_pd_r: this run does not compute it",
        ),
        (
            {
                "phylogeny": TREE,
                "optimizer": OptimizerOptions(scheduler="plateau"),
                "split": SplitOptions(val_size=0.0),
            },
            "--scheduler plateau needs validation samples",
        ),
        ({"phylogeny": TREE, "split": SplitOptions(group_column="host")}, "--group-column is a column of --metadata"),
        (
            {"phylogeny": TREE, "split": SplitOptions(stratify_column="age")},
            "--stratify-column is a column of --metadata",
        ),
        ({"phylogeny": TREE, "run": RunOptions(OUT, batch_size=1)}, "--batch-size 1 has no pair of samples"),
        (
            {"phylogeny": TREE, "table": FRACTIONS, "sample": SampleOptions(rarefy_depth=100)},
            "--rarefy-depth 100 and --relative-abundance cannot be combined",
        ),
    ],
)
def test_rules_of_pretraining(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        PretrainConfig(**({"table": TABLE, "run": RunOptions(OUT)} | sections))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"metadata": MetadataOptions()}, "--metadata: pass the file that has the column to predict"),
        (
            {"objective": TrainObjective(unifrac_weight=1.0)},
            "--unifrac-weight above 0 needs --tree or --unifrac-matrix",
        ),
        (
            {"phylogeny": TREE, "transfer": TransferOptions(Path("run"), freeze_base=True)},
            "--unifrac-weight above 0 and --freeze-base cannot be combined",
        ),
        (
            {
                "transfer": TransferOptions(Path("run"), freeze_base=True),
                "objective": TrainObjective(masked_base_weight=1.0),
            },
            "--masked-base-weight above 0 and --freeze-base cannot be combined",
        ),
        (
            {"transfer": TransferOptions(cv=3), "split": SplitOptions(train_samples=OUT, val_samples=OUT)},
            "--cv makes its own splits. Omit --train-samples",
        ),
        (
            {"transfer": TransferOptions(cv=3), "run": RunOptions(OUT, resume_from="out/fold-1/checkpoints/last")},
            "--cv resumes all its folds. Use --resume-from auto",
        ),
        (
            {"transfer": TransferOptions(cv_by="study"), "run": RunOptions(OUT, resume_from="out/fold-1")},
            "--cv-by resumes all its folds. Use --resume-from auto",
        ),
        (
            {"transfer": TransferOptions(ensemble=2), "run": RunOptions(OUT, resume_from="out/member-1")},
            "--ensemble resumes all its members. Use --resume-from auto",
        ),
        ({"transfer": TransferOptions(cv_by="y")}, "--cv-by y: this column is the target (--metadata-column)"),
        (
            {"transfer": TransferOptions(cv_by="study"), "split": SplitOptions(splits_from=OUT)},
            "--cv-by makes its own splits. Omit --splits-from",
        ),
        (
            {"transfer": TransferOptions(baselines="unifrac_kernel")},
            "--baselines unifrac_kernel: unifrac_kernel needs --tree or --unifrac-matrix",
        ),
        (
            {
                "phylogeny": TREE,
                "run": RunOptions(OUT, batch_size=1),
                "transfer": TransferOptions(adaptation="fine-tune"),
            },
            "--batch-size 1 has no pair of samples",
        ),
        ({"transfer": TransferOptions(best_metric="auc")}, "--best-metric auc only applies with --classifier. Use one"),
        (
            {"table": FRACTIONS, "sample": SampleOptions(rarefy_depth=1)},
            "--rarefy-depth 1 and --relative-abundance cannot be combined",
        ),
        (
            {"transfer": TransferOptions(best_metric="mae"), "target": TargetOptions(("y",), classifier=True)},
            "--best-metric mae only applies without --classifier. Use one of val_loss, accuracy",
        ),
    ],
)
def test_rules_of_training(sections: dict[str, Any], message: str) -> None:
    required = {"table": TABLE, "metadata": METADATA, "target": TargetOptions(("y",)), "run": RunOptions(OUT)}
    with pytest.raises(ValueError, match=re.escape(message)):
        TrainConfig(**(required | sections))


def test_weight_of_unifrac_in_training() -> None:
    def weight(phylogeny: PhylogenyOptions, unifrac_weight: float | None) -> float:
        objective, steps = TrainObjective(unifrac_weight=unifrac_weight), TransferOptions(adaptation="fine-tune")
        config = TrainConfig(
            TABLE, METADATA, TargetOptions(("y",)), RunOptions(OUT), steps, phylogeny=phylogeny, objective=objective
        )
        return config.pair_weight()

    assert weight(PhylogenyOptions(), None) == 0
    assert (weight(TREE, None), weight(MATRIX, None)) == (1, 1)
    assert (weight(TREE, 0.0), weight(TREE, 0.5)) == (0, 0.5)


def test_a_frozen_encoder_beside_an_unused_tree_is_allowed() -> None:
    TrainConfig(
        TABLE,
        METADATA,
        TargetOptions(("y",)),
        RunOptions(OUT),
        TransferOptions(Path("run"), freeze_base=True),
        phylogeny=TREE,
        objective=TrainObjective(unifrac_weight=0.0),
    )
