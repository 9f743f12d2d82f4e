"""A check of `--compile-model` before the first step: without the same results, the run continues uncompiled.

Loss and gradient of the first batch are compared with and without compilation. No step is made in between: weights,
gradients and random states are unchanged afterwards.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Iterator

import numpy as np
import torch

from aam_models.batch.batch import Batch
from aam_models.encoder.transformer import Transformer
from aam_train.engine.gradients import is_out_of_memory, out_of_memory
from aam_train.engine.step import Step
from aam_train.errors import TrainError
from aam_train.losses.objective import LossBreakdown, Objective
from aam_train.reporting.records import Reporter

TOLERANCES = {"none": 1e-4, "bf16": 2e-2, "fp16": 2e-2}  # relative, for loss and gradient norm
_FP16_SCALE = 1024.0  # so that small gradients survive, as the scaler does in training
_TRIAL = (64, 101)  # sequences and positions of a trial, like most chunks, whose graph is then compiled already


def verify_compiled(step: Step, objective: Objective, batch: Batch, reporter: Reporter) -> None:
    """Compile for this batch and compare; after any difference or failure, warn and continue uncompiled.

    Does nothing if nothing is to be compiled. All processes must call it, and all decide alike.

    Args:
        step: before `Step.begin_training`.
        batch: this process's part of the first micro-batch, on the host.

    Raises:
        TrainError: memory is exhausted even without compilation.
    """
    transformers = [each for each in step.encoder.transformers() if each.compiled is not None]
    if not transformers:
        return
    ranks, started = step.strategy.ranks, time.monotonic()
    with _restoring(step):
        problem = ""
        if step.strategy.name == "fsdp":
            # a process that fails within a forward pass would leave the others waiting for its weights
            problem = _problem_of_trial(step, transformers[0])
        if not any(ranks.all_reduce_max([bool(problem)])):
            expected = _eager(step, objective, batch, transformers)
            problem, actual = _compiled(step, objective, batch)
            problem = problem or _difference(expected, actual, TOLERANCES[step.precision.name])
    failed = ranks.all_gather([bool(problem)])[:, 0]
    if not failed.any():
        seconds = time.monotonic() - started
        reporter.note(f"the first batch has the same loss and gradient with compiled blocks ({seconds:.0f} s)")
        return
    for transformer in transformers:
        transformer.compiled = None
    reason = problem or f"see the message of process {int(failed.argmax())}"
    reporter.note(f"warning: continuing without --compile-model: {reason}")


def _eager(step: Step, objective: Objective, batch: Batch, transformers: list[Transformer]) -> tuple[float, float]:
    compiled = [transformer.compiled for transformer in transformers]
    for transformer in transformers:
        transformer.compiled = None
    try:
        return _loss_and_norm(step, objective, batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainError(out_of_memory([batch])) from error
    finally:
        for transformer, its in zip(transformers, compiled, strict=True):
            transformer.compiled = its


def _compiled(step: Step, objective: Objective, batch: Batch) -> tuple[str, tuple[float, float]]:
    """Return the problem, empty without one, and loss and gradient norm."""
    try:
        return "", _loss_and_norm(step, objective, batch)
    except Exception as error:  # compilers raise all kinds, and the run can do without
        return _reason(error), (math.nan, math.nan)


def _problem_of_trial(step: Step, transformer: Transformer) -> str:
    """Compile a single block, in this process alone; return the problem, empty without one."""
    assert transformer.compiled is not None
    block = transformer.new_block().to(step.device)
    x = torch.zeros(*_TRIAL, transformer.width, device=step.device, requires_grad=True)
    try:
        with step.precision.forward():
            transformer.compiled(block, x, None).sum().backward()
    except Exception as error:
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    """Return the first line with text of the innermost error."""
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return f"compilation failed ({type(inner).__name__}: {lines[0][:200] if lines else 'no message'})"


def _difference(expected: tuple[float, float], actual: tuple[float, float], tolerance: float) -> str:
    """Describe a difference, empty without one; values that are not finite are left to the first step."""
    if not all(map(math.isfinite, expected)):
        return ""
    for name, right, value in zip(("loss", "norm of the gradient"), expected, actual, strict=True):
        if not abs(value - right) <= tolerance * abs(right):
            return f"the {name} of the first batch is {value:.6g}, {right:.6g} without it"
    return ""


def _loss_and_norm(step: Step, objective: Objective, batch: Batch) -> tuple[float, float]:
    """Compute loss and gradient norm of this process's batch alone, without pairs with other processes."""
    torch.manual_seed(0)  # the same dropout with and without compilation
    step.train_mode()
    step.model.zero_grad(set_to_none=True)
    scale = _FP16_SCALE if step.precision.name == "fp16" else 1.0
    true = objective.look_up(batch)
    counts = objective.counts(batch, true)
    batch, true = batch.to(step.device), true.to(step.device)
    output = step.run(batch, objective.outputs)
    terms = objective.encoder_terms(step.encoder, output.encoded, batch, true, counts)
    if output.predicted is not None:
        terms |= objective.target_terms(output.predicted, batch, true, counts)
    loss = LossBreakdown(terms).total()
    (scale * loss).backward()
    learned = [p for p in step.model.parameters() if p.requires_grad]
    return loss.item(), step.strategy.clip(learned, math.inf).item() / scale


@contextlib.contextmanager
def _restoring(step: Step) -> Iterator[None]:
    """Restore gradients, modes and all random states at the end."""
    grads = [(p, p.grad) for p in step.model.parameters()]
    on_gpu = [step.device] if step.device.type == "cuda" else []
    numbers, old_numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 (that of others is kept)
    modes = [(module, module.training) for module in step.model.modules()]
    try:
        with torch.random.fork_rng(on_gpu):
            yield
    finally:
        random.setstate(numbers)
        np.random.set_state(old_numbers)  # noqa: NPY002
        for p, grad in grads:
            p.grad = grad
        for module, mode in modes:
            module.training = mode
