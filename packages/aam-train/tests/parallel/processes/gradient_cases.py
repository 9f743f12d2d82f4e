"""One of several processes: gradients of a step, compared with those of one process on the union of the micro-batches.

``python gradient_cases.py STUDY RESULTS``; which process it is comes from the environment, as under torchrun.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.splits.selection import make_splits
from aam_data.study.study import Study, read_study
from aam_models.batch.batch import Batch
from aam_models.build import build_encoder, build_predictor
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor import PredictorConfig
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.predictor import Predictor
from aam_train.data.collate import KEEP_ALL, KEEP_NONE, ActivationPlan
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import RunData, build_data
from aam_train.engine.gradients import gradients
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.losses.objective import Objective, TargetTerm
from aam_train.losses.targets import ClassLoss, NumberLoss, NumberLosses, TargetLoss
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.options.compute import ComputeOptions
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.options.run import RunOptions
from aam_train.parallel.ddp import DataParallel
from aam_train.parallel.fsdp import FullyShard
from aam_train.parallel.process_group import process_group
from aam_train.parallel.ranks import ProcessGroup, Ranks
from aam_train.parallel.strategy import Single, Strategy
from aam_train.reporting.records import Reporters
from aam_train.setup.architecture import new_encoder_config
from aam_train.setup.freezing import freeze_unused_parameters
from aam_train.setup.head_initialization import calibrate_heads

CPU = torch.device("cpu")
MASKING = (MaskBases(0.15), HideCounts(0.15))
SMALL = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1, asv_chunk_size=8)
# Samples of each of at most 4 processes in each micro-batch.
SIZES = [[3, 7, 1, 2], [5, 1, 4, 6]]
ALL = {"unifrac": 0.7, "faith_pd": 0.5, "nucleotides": 2.0, "counts": 3.0}


@dataclass(frozen=True)
class Case:
    """Losses to train; ``target`` is a kind of target loss, ``again``: processes recompute different activations."""

    name: str
    weights: dict[str, float]
    target: str | None = None
    micro_batches: int = 1
    dtype: torch.dtype = torch.float64
    again: bool = False
    bases_per_token: int = 1
    target_weight: float = 1.0


ACTIVATION_PLANS = [KEEP_NONE, KEEP_ALL, ActivationPlan(0), ActivationPlan(200, slots=False)]
CASES = [
    Case("unifrac", {"unifrac": 1.0}),
    Case("faith_pd", {"faith_pd": 1.0}),
    Case("nucleotides", {"nucleotides": 1.0}),
    Case("counts", {"counts": 1.0}),
    Case("all, two micro-batches", ALL, None, 2),
    Case("all, computed again, two micro-batches", ALL, None, 2, again=True),
    Case("all, four bases per token", ALL, again=True, bases_per_token=4),
    Case("mse", {}, "mse"),
    Case("mae", {}, "mae"),
    Case("quantile", {}, "quantile"),
    Case("asymmetric", {}, "asymmetric"),
    Case("classes", {}, "classes"),
    Case("huber and all others, two micro-batches", ALL, "huber", 2, target_weight=0.9),
    Case("all in float32", ALL, None, 2, torch.float32),
]
RESHARDED = {"all, computed again, two micro-batches", "huber and all others, two micro-batches", "all in float32"}


def read(folder: Path) -> RunData:
    """Build the study, with sequences of three lengths and one of only ambiguous bases, which cannot be masked."""
    files = TableOptions(folder / "table.biom"), PhylogenyOptions(tree=folder / "tree.nwk")
    study: Study = read_study(files[0], MetadataOptions(), files[1])
    for length, rows in ((33, slice(0, None, 3)), (21, slice(1, None, 7))):
        study.sequences.lengths[rows] = length
        study.sequences.codes[rows, length:] = 0
    config = PretrainConfig(
        files[0], RunOptions(Path("unused")), files[1], sample=SampleOptions(rarefy_depth=100), model=SMALL
    )
    (splits,) = make_splits(study, np.arange(study.table.n_samples), SplitOptions(test_size=0.0, val_size=0.0), 1, None)
    return build_data(config, study, splits, depth=100, max_bp=40, reporter=Reporters())


def build(case: Case, data: RunData, strategy: Strategy) -> tuple[Step, Objective]:
    torch.manual_seed(0)
    encoder = new_encoder_config(replace(SMALL, bases_per_token=case.bases_per_token), 40, case.weights)
    model: Encoder | Predictor = build_encoder(encoder)
    target: TargetLoss | None = None
    if case.target is not None:
        width = 3 if case.target == "classes" else 2
        width = 5 if case.target == "quantile" else width
        model = build_predictor(PredictorConfig(encoder, width, (8,)))
        n = data.study.table.n_samples
        targets = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
        targets[np.random.default_rng(1).random((n, 2)) < 0.3] = np.nan
        targets[data.rows["train"][10:14]] = np.nan  # all that one process has
        if case.target == "classes":
            targets = np.floor(np.abs(targets[:, :1])).clip(max=2)
        data.maker.collator.targets = targets
        data.maker.collator.sample_weights = np.random.default_rng(2).random(n).astype(np.float32)
        target = ClassLoss((0.5, 1.0, 2.0), CPU) if case.target == "classes" else number_losses(case.target)
    else:
        data.maker.collator.targets = None
    term = None if target is None else TargetTerm(target, case.target_weight)
    objective = build_objective(case.weights, Sources(data.pairs), term)
    freeze_unused_parameters(model.encoder if isinstance(model, Predictor) else model, objective.trains)
    calibrate_heads(Step(model, CPU), data, objective.encoder, 32)
    return Step(model.to(case.dtype), CPU, strategy=strategy), objective


def number_losses(kind: str) -> NumberLosses:
    """Build the losses of two targets, the second with a loss of its own."""
    quantiles = (0.1, 0.5, 0.7, 0.9) if kind == "quantile" else ()
    first = NumberLoss(kind, 1.5, 0.3, quantiles, over=2.0, under=0.5)
    return NumberLosses((first, NumberLoss("mae", 0.5, weight=0.7)))


def batch_of(data: RunData, rows: np.ndarray, dtype: torch.dtype, activations: ActivationPlan = KEEP_ALL) -> Batch:
    batch = data.maker[BatchRequest(rows, 0, MASKING, activations)]
    return batch._map_tensors(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)


def step_gradients(
    case: Case, data: RunData, strategy: Strategy, batches: list[np.ndarray]
) -> tuple[dict[str, Tensor], dict[str, float], float]:
    step, objective = build(case, data, strategy)
    update = Update(build_optimizer(step.model, OptimizerOptions()), None, 0.0, strategy.clip)
    step.begin_training()
    step.train_mode()
    activations = ACTIVATION_PLANS[strategy.ranks.rank] if case.again and strategy.ranks.size > 1 else KEEP_ALL
    result = gradients(step, objective, update, [batch_of(data, rows, case.dtype, activations) for rows in batches])
    found = {}
    for name, p in step.model.named_parameters():
        assert (p.grad is not None) == p.requires_grad, name
        if p.grad is None:
            continue
        whole = strategy.gather_full(p.grad)
        if whole is not None:
            found[name] = whole.clone()
    return found, result.losses, result.grad_norm


def compare(
    case: Case, data: RunData, strategy: Strategy, cut: Callable[[list[int]], list[int]]
) -> dict[str, float] | None:
    """Return the largest differences, relative to the parameter's largest gradient; None except on rank 0."""
    ranks, order = strategy.ranks, data.rows["train"]
    mine, union, start = [], [], 0
    for sizes in SIZES[: case.micro_batches]:
        sizes = cut(sizes[: ranks.size])
        ends = start + np.cumsum(sizes)
        mine.append(order[ends[ranks.rank] - sizes[ranks.rank] : ends[ranks.rank]])
        union.append(order[start : ends[-1]])
        start = int(ends[-1])
    found, losses, norm = step_gradients(case, data, strategy, mine)
    expected, expected_losses, expected_norm = step_gradients(case, data, Single(CPU), union)
    if not ranks.is_rank_zero:
        return None
    assert found.keys() == expected.keys()
    # some gradients are 0 but for rounding: those are held against the largest of the model
    floor = 1e-3 * max(float(gradient.abs().max()) for gradient in expected.values())
    worst = max(
        float((found[name] - gradient).abs().max()) / max(floor, float(gradient.abs().max()))
        for name, gradient in expected.items()
    )
    of_losses = max(abs(losses[name] / value - 1) for name, value in expected_losses.items())
    return {"gradient": worst, "loss": of_losses, "norm": abs(norm / expected_norm - 1)}


class NoGradient(ProcessGroup):
    """Gather without a gradient, an error that the comparison must find."""

    def gather(self, rows: Tensor, sizes: object) -> Tensor:
        return self.collect(rows.detach(), sizes)  # type: ignore[arg-type]


def main() -> None:
    torch.set_num_threads(1)
    data = read(Path(sys.argv[1]))
    results: dict[str, dict[str, float] | None] = {}
    with process_group(ParallelOptions(distributed=True), ComputeOptions(), "cpu") as joined_strategy:
        ranks: Ranks = joined_strategy.ranks
        for make in (DataParallel, FullyShard):
            for case in CASES:
                results[f"{make.name}: {case.name}"] = compare(case, data, make(CPU, ranks), lambda sizes: sizes)
        ranks.local_size = ranks.size // 2 if ranks.size % 2 == 0 else ranks.size  # as on two machines
        for sharding in ("gradients", "hybrid"):
            for case in CASES:
                if case.name in RESHARDED:
                    fsdp = FullyShard(CPU, ranks, sharding=sharding)
                    results[f"{sharding}: {case.name}"] = compare(case, data, fsdp, lambda sizes: sizes)
        equal = Case("unifrac, equal parts", {"unifrac": 1.0})
        results["ddp: equal"] = compare(equal, data, DataParallel(CPU, ranks), lambda sizes: [3 for _ in sizes])
        assert isinstance(ranks, ProcessGroup)
        ranks.__class__ = NoGradient
        results["no gradient"] = compare(CASES[0], data, DataParallel(CPU, ranks), lambda sizes: sizes)
    if ranks.is_rank_zero:
        Path(sys.argv[2]).write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
