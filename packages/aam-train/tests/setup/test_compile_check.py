"""`--compile-model`: the first batch is computed both ways, and nothing of that stays."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from aam_models.build import build_encoder, build_predictor
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor import PredictorConfig
from aam_models.encoder.transformer import Transformer
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import BatchRequest, TrainingPlan
from aam_train.data.run_data import RunData
from aam_train.device.precision import Precision, prepare_model
from aam_train.engine.step import Step
from aam_train.errors import RunStopped
from aam_train.losses.objective import TargetTerm
from aam_train.losses.targets import NumberLoss, NumberLosses
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.options.compute import ComputeOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.options.toml import config_to_toml
from aam_train.recipes import launch
from aam_train.recipes.pretrain import pretrain
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.jsonl import read_records
from aam_train.reporting.records import Reporters, StepRecord
from aam_train.setup.architecture import new_encoder_config
from aam_train.setup.compile_check import verify_compiled
from aam_train.setup.head_initialization import calibrate_heads

SMALL = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=2)
WEIGHTS = {"unifrac": 1.0, "faith_pd": 1.0, "nucleotides": 1.0, "counts": 1.0}
MASKING = (MaskBases(0.15), HideCounts(0.15))
CPU = torch.device("cpu")
Run = Callable[[Any, torch.Tensor, torch.Tensor | None], torch.Tensor]


class Notes(Reporters):
    """Remembers what was told."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "notes", [])

    def note(self, text: str) -> None:
        self.notes.append(text)


def step_with(data: RunData, run: Run | None, precision: str = "none", *, predictor: bool = False):
    """A step whose blocks are computed by ``run``, its objective and a batch."""
    torch.manual_seed(0)
    config = new_encoder_config(SMALL, 150, WEIGHTS)
    model, target = build_encoder(config), None
    if predictor:
        data.maker.collator.targets = torch.rand(24, 2).numpy()
        model = build_predictor(PredictorConfig(config, 2, (8,), 0.5))
        target = NumberLosses((NumberLoss("huber"),) * 2)
    objective = build_objective(WEIGHTS, Sources(data.pairs), target=None if target is None else TargetTerm(target))
    step = Step(model, CPU, precision=Precision(CPU, precision))
    calibrate_heads(step, data, objective.encoder, 32)
    batch = data.maker[BatchRequest(data.rows["train"][:6], 0, MASKING)]
    data.maker.collator.targets = None
    for module in model.modules():
        if isinstance(module, Transformer):
            module.compiled = run
    return step, objective, batch


def kept(step: Step) -> bool:
    compiled = {m.compiled is not None for m in step.model.modules() if isinstance(m, Transformer)}
    assert len(compiled) == 1
    return compiled.pop()


def right(block, x, mask):
    return block(x, mask)


def wrong(block, x, mask):
    return 1.1 * block(x, mask)


def wrong_gradient(block, x, mask):
    found = block(x, mask)
    return found.detach() + 1.5 * (found - found.detach())


def broken(block, x, mask):
    try:
        raise FileNotFoundError("\nno C++ compiler\nand more")
    except FileNotFoundError as error:
        raise RuntimeError("backend failed") from error


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("precision", ["none", "bf16", "fp16"])
def test_what_is_the_same_stays(data: RunData, precision: str, predictor: bool) -> None:
    step, objective, batch = step_with(data, right, precision, predictor=predictor)
    notes = Notes()
    verify_compiled(step, objective, batch, notes)
    assert kept(step)
    assert len(notes.notes) == 1
    assert notes.notes[0].startswith("the first batch has the same loss and gradient with compiled blocks (")


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (wrong, r"the loss of the first batch is [\d.]+, [\d.]+ without it$"),
        (wrong_gradient, r"the norm of the gradient of the first batch is [\d.]+, [\d.]+ without it$"),
        (broken, r"compilation failed \(FileNotFoundError: no C\+\+ compiler\)$"),
    ],
)
def test_what_differs_or_fails_is_left_out_with_the_reason(data: RunData, run: Run, said: str) -> None:
    step, objective, batch = step_with(data, run)
    notes = Notes()
    verify_compiled(step, objective, batch, notes)
    assert not kept(step)
    assert len(notes.notes) == 1
    assert notes.notes[0].startswith("warning: continuing without --compile-model: ")
    assert re.search(said, notes.notes[0])


@pytest.mark.parametrize("run", [right, wrong, broken])
def test_weights_gradients_and_random_numbers_are_as_before(data: RunData, run: Run) -> None:
    step, objective, batch = step_with(data, run, predictor=True)
    for p in step.model.parameters():
        p.grad = torch.rand_like(p)
    grads = [p.grad for p in step.model.parameters()]
    before = [grad.clone() for grad in grads]
    weights = {name: tensor.clone() for name, tensor in step.model.state_dict().items()}
    step.model.eval()
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    verify_compiled(step, objective, batch, Reporters())
    drawn = torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert torch.equal(drawn[0], torch.rand(3))
    assert drawn[1:] == (random.random(), np.random.rand())  # noqa: NPY002
    assert all(torch.equal(weights[name], tensor) for name, tensor in step.model.state_dict().items())
    assert all(p.grad is grad for p, grad in zip(step.model.parameters(), grads, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, grads, strict=True))
    assert not step.model.training


def test_evaluation_and_sizes_of_one_do_not_go_through_it(data: RunData) -> None:
    def refuse(block, x, mask):
        raise AssertionError("compiled")

    transformer = Transformer(8, 2, 2)
    plain = transformer(torch.ones(2, 3, 8))
    transformer.compiled = refuse
    with torch.no_grad():
        assert torch.equal(transformer(torch.ones(2, 3, 8)), plain)
    transformer(torch.ones(1, 3, 8))
    transformer(torch.ones(2, 1, 8))
    with pytest.raises(AssertionError, match="compiled"):
        transformer(torch.ones(2, 3, 8))
    transformer.eval()
    assert torch.equal(transformer(torch.ones(2, 3, 8)), plain)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of PyTorch, about itself
def test_an_epoch_makes_few_graphs(data: RunData) -> None:
    """Other sizes, chunks with a mask and without: at most a graph for each of (mask, size), forward."""
    from torch._dynamo.utils import counters

    torch.compiler.reset()  # graphs of other tests would be used again
    step, objective, batch = step_with(data, None)
    prepare_model(step.model, ComputeOptions(compile_model=True), Reporters())
    counters.clear()
    verify_compiled(step, objective, batch, Reporters())
    assert kept(step)
    step.train_mode()
    for requests in TrainingPlan(data.rows["train"], 5, 0, MASKING).epoch(0):
        batch = data.maker[requests[0]]
        true = objective.look_up(batch)
        step.losses(batch, objective, true, objective.counts(batch, true)).total().backward()
    assert 1 <= counters["stats"]["unique_graphs"] <= 4
    assert not counters["graph_break"]


@pytest.mark.slow
def test_a_run_without_a_compiler_goes_on(
    pretrain_config: Callable[..., PretrainConfig], encoder_run: tuple[PretrainConfig, Path], tmp_path: Path
) -> None:
    config = pretrain_config(tmp_path / "run", compute=ComputeOptions(compile_model=True))
    (tmp_path / "config.toml").write_text(config_to_toml(config))
    absent = {"CXX": str(tmp_path / "absent"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "aam_cli", "pretrain", "--config", str(tmp_path / "config.toml")]
    env = os.environ | absent | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert "warning: continuing without --compile-model: compilation failed (" in done.stderr
    weights = [load_file(run / "checkpoints/last/model.safetensors") for run in (tmp_path / "run", encoder_run[1])]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


class Interrupting(ConsoleReporter):
    """Sends this process a signal in the second epoch."""

    def step(self, record: StepRecord) -> None:
        super().step(record)
        if record.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of PyTorch, about itself
def test_a_compiled_run_computes_the_same_and_goes_on(
    pretrain_config: Callable[..., PretrainConfig],
    encoder_run: tuple[PretrainConfig, Path],
    changed: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compute = ComputeOptions(compile_model=True)
    config = pretrain_config(tmp_path / "run", compute=compute, run={"resume_from": "auto"})
    with monkeypatch.context() as patch:
        patch.setattr(launch, "ConsoleReporter", Interrupting)
        with pytest.raises(RunStopped):
            pretrain(config, quiet=True)
    run = pretrain(config, quiet=True)
    whole = pretrain(changed(config, "run", output_dir=tmp_path / "whole", resume_from=None), quiet=True)
    found, same, expected = (
        [record["loss"]["total"] for record in read_records(path / "metrics.jsonl") if record["kind"] == "step"]
        for path in (run, whole, encoder_run[1])
    )
    assert len(found) == 6
    assert found == same
    assert found == pytest.approx(expected, rel=1e-3)
