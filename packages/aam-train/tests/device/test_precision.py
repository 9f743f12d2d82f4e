"""Effects of precision, attention kernels and recomputation on losses and gradients."""

from __future__ import annotations

import math

import pytest
import torch

from aam_models.batch.batch import AsvOutput
from aam_models.build import build_encoder, build_predictor
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor import PredictorConfig
from aam_models.requested import EVERYTHING
from aam_train.data.collate import KEEP_ALL, KEEP_NONE, ActivationPlan
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import RunData
from aam_train.device.precision import Precision, build_precision, prepare_model, torch_settings
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.errors import TrainError
from aam_train.losses.objective import Objective, TargetTerm
from aam_train.losses.targets import NumberLoss, NumberLosses
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.options.compute import ComputeOptions
from aam_train.reporting.records import Reporters
from aam_train.setup.architecture import new_encoder_config
from aam_train.setup.head_initialization import calibrate_heads

SMALL = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=2)
WEIGHTS = {"unifrac": 1.0, "faith_pd": 1.0, "nucleotides": 1.0, "counts": 1.0}
MASKING = (MaskBases(0.15), HideCounts(0.15))
CPU = torch.device("cpu")


def encoder_step(data: RunData, precision: Precision | None = None) -> tuple[Step, Objective]:
    objective = build_objective(WEIGHTS, Sources(data.pairs))
    torch.manual_seed(0)
    step = Step(build_encoder(new_encoder_config(SMALL, 150, WEIGHTS)), CPU, precision=precision)
    calibrate_heads(step, data, objective.encoder, 32)
    return step, objective


def loss_and_gradients(
    data: RunData, step: Step, objective: Objective, activations: ActivationPlan = KEEP_ALL
) -> tuple[float, dict[str, torch.Tensor]]:
    batch = data.maker[BatchRequest(data.rows["train"][:6], 0, MASKING, activations)]
    true = objective.look_up(batch)
    step.train_mode()
    step.model.zero_grad()
    total = step.losses(batch, objective, true, objective.counts(batch, true)).total()
    total.backward()
    return total.item(), {name: p.grad.clone() for name, p in step.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_16_bit_losses_are_near_those_of_float32_and_outputs_are_float32(data: RunData, precision: str) -> None:
    exact, _ = loss_and_gradients(data, *encoder_step(data))
    step, objective = encoder_step(data, Precision(CPU, precision))
    loss, gradients = loss_and_gradients(data, step, objective)
    assert loss == pytest.approx(exact, rel=0.02)
    assert loss != exact
    assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
    batch = data.maker[BatchRequest(data.rows["train"][:6], 0, MASKING)]
    encoded = step.run(batch, EVERYTHING).encoded
    tensors = [encoded.sample_embeddings, encoded.asv_embeddings, *encoded.predictions.values()]
    assert {x.dtype for x in tensors} == {torch.float32}
    assert isinstance(step.encode_asvs(batch, EVERYTHING), AsvOutput)


def test_recomputation_gives_the_same_gradients(data: RunData) -> None:
    step, objective = encoder_step(data)
    loss, gradients = loss_and_gradients(data, step, objective)
    calls: dict[str, int] = {}
    for level in ("asv_encoder", "sample_encoder"):
        block = getattr(step.encoder, level).transformer.blocks[0]
        block.register_forward_pre_hook(lambda *_, level=level: calls.update({level: calls.get(level, 0) + 1}))
    again, others = loss_and_gradients(data, step, objective, activations=KEEP_NONE)
    n_chunks = len(data.maker[BatchRequest(data.rows["train"][:6], 0, MASKING)].chunks)
    assert calls == {"asv_encoder": 2 * n_chunks, "sample_encoder": 2}
    assert again == loss
    assert all(torch.allclose(others[name], gradients[name], atol=1e-6) for name in gradients)


@pytest.mark.parametrize("kernel", ["math", "flash"])
def test_attention_kernels_agree(data: RunData, kernel: str) -> None:
    expected, gradients = loss_and_gradients(data, *encoder_step(data))
    with torch_settings(ComputeOptions(attn_implementation=kernel), CPU, Reporters()):  # type: ignore[arg-type]
        loss, others = loss_and_gradients(data, *encoder_step(data))
    assert loss == pytest.approx(expected, rel=1e-5)
    assert all(torch.allclose(others[name], gradients[name], atol=1e-4) for name in gradients)


def test_a_kernel_that_the_device_lacks_is_an_error() -> None:
    options = ComputeOptions(attn_implementation="mem_efficient")
    message = r"--attn-implementation mem_efficient: cpu has no such kernel for float32\. Leave the option out"
    with pytest.raises(TrainError, match=message), torch_settings(options, CPU, Reporters()):
        pass


def test_process_wide_settings_are_restored_after_the_run() -> None:
    def settings() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()

    before = settings()
    with torch_settings(ComputeOptions(tf32=True, deterministic=True), CPU, Reporters()):
        assert settings() == ("high", True)
    assert settings() == before
    with pytest.raises(RuntimeError, match="the run"), torch_settings(ComputeOptions(tf32=True), CPU, Reporters()):
        raise RuntimeError("the run")
    assert settings() == before


def test_the_cpu_computes_in_float32_by_default() -> None:
    assert build_precision(ComputeOptions(), CPU).name == "none"
    assert build_precision(ComputeOptions(mixed_precision="bf16"), CPU).name == "bf16"
    assert (Precision(CPU).scaler(), Precision(CPU, "bf16").scaler()) == (None, None)


def test_fp16_leaves_out_an_update_that_overflowed_and_scales_less() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    update = Update(torch.optim.SGD(model.parameters(), lr=0.1), Precision(CPU, "fp16").scaler(), 0.0)
    before = model.weight.item()
    update.backward(model(torch.full((1, 1), 1e38)).sum())  # times 65,536 this is infinite in float32 too
    assert math.isinf(update.clip().item())
    update.apply()
    assert model.weight.item() == before
    assert update.state()["scale"] == 2.0**15
    update.optimizer.zero_grad()
    update.backward(model(torch.ones(1, 1)).sum())
    assert update.clip().item() == pytest.approx(1.0)
    update.apply()
    assert model.weight.item() == pytest.approx(before - 0.1)
    other = Update(update.optimizer, Precision(CPU, "fp16").scaler(), 0.0)
    other.restore(update.state())
    assert other.state() == update.state()


@pytest.mark.parametrize("predictor", [False, True])
def test_nothing_in_a_micro_step_waits_for_the_device(data: RunData, predictor: bool) -> None:
    """The meta device has no values: anything that reads one (.item(), bool(), masks as indices) fails."""
    meta = torch.device("meta")
    config = new_encoder_config(SMALL, 150, WEIGHTS)
    batch = data.maker[BatchRequest(data.rows["train"][:6], 0, MASKING)]
    objective, model = build_objective(WEIGHTS, Sources(data.pairs)), build_encoder(config)
    if predictor:
        data.maker.collator.targets = torch.rand(24, 2).numpy()
        batch = data.maker[BatchRequest(data.rows["train"][:6], 0, MASKING)]
        data.maker.collator.targets = None
        model = build_predictor(PredictorConfig(config, 2, (8,), 0.1))
        target = TargetTerm(NumberLosses((NumberLoss("huber"),) * 2))
        objective = build_objective(WEIGHTS, Sources(data.pairs), target)
    step = Step(model.to(meta), meta)
    step.train_mode()
    true = objective.look_up(batch)
    losses = step.losses(batch, objective, true, objective.counts(batch, true))
    losses.total().backward()
    assert set(losses.terms) == {"unifrac", "faith_pd", "nucleotides", "counts", *(["target"] if predictor else [])}
    assert losses.total().device == meta
    with pytest.raises(RuntimeError):
        losses.total().item()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_nothing_in_a_micro_step_waits_for_the_gpu(data: RunData) -> None:
    device = torch.device("cuda")
    step, objective = encoder_step(data)
    step = Step(step.model.to(device), device)
    batch = data.maker[BatchRequest(data.rows["train"][:6], 0, MASKING)].pin_memory()
    true = objective.look_up(batch)
    counts = objective.counts(batch, true)
    step.losses(batch, objective, true, counts).total().backward()  # kernels are loaded now
    torch.cuda.set_sync_debug_mode("error")
    try:
        step.losses(batch, objective, true, counts).total().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of PyTorch, about itself
def test_compiled_blocks_compute_the_same(data: RunData) -> None:
    expected, gradients = loss_and_gradients(data, *encoder_step(data))
    step, objective = encoder_step(data)
    names = set(step.model.state_dict())
    prepare_model(step.model, ComputeOptions(compile_model=True), Reporters())
    loss, others = loss_and_gradients(data, step, objective)
    assert set(step.model.state_dict()) == names
    assert loss == pytest.approx(expected, rel=1e-5)
    assert all(torch.allclose(others[name], gradients[name], atol=1e-4) for name in gradients)
