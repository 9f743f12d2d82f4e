"""`--compile-model` before the first step: does what was compiled compute the same? If not, the run goes on without.

Both ways of the first batch are compared, loss and gradient, without a step in between: weights, gradients and random
numbers are afterwards as they were.
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

TOLERANCES = {"none": 1e-4, "bf16": 2e-2, "fp16": 2e-2}  # relative, of loss and gradient norm
_FP16_SCALE = 1024.0  # so that small gradients survive, as the scaler does in training
_TRIAL = (64, 101)  # sequences and positions of a trial: as most chunks are, so that their graph is made only once


def keep_compiled_if_right(step: Step, objective: Objective, batch: Batch, reporter: Reporter) -> None:
    """Compile for this batch and compare; on any difference or failure warn and go on without. Nothing where nothing
    is to be compiled. Entered by all processes, which decide alike.

    Args:
        step: before `Step.begin_training`.
        batch: this process's part of the first micro-batch, on the host.

    Raises:
        TrainError: memory is exhausted without compilation already.
    """
    transformers = [each for each in step.encoder.transformers() if each.compiled is not None]
    if not transformers:
        return
    ranks, started = step.strategy.ranks, time.monotonic()
    with _as_before(step):
        problem = ""
        if step.strategy.name == "fsdp":
            # a process that fails within a forward pass would leave the others waiting for its weights
            problem = _problem_of_trial(step, transformers[0])
        if not any(ranks.all_reduce_max([bool(problem)])):
            expected = _eager(step, objective, batch, transformers)
            problem, found = _compiled(step, objective, batch)
            problem = problem or _difference(expected, found, TOLERANCES[step.precision.name])
    failed = ranks.all_gather([bool(problem)])[:, 0]
    if not failed.any():
        seconds = time.monotonic() - started
        reporter.note(f"the first batch gives the same loss and gradient with compiled blocks ({seconds:.0f} s)")
        return
    for transformer in transformers:
        transformer.compiled = None
    reason = problem or f"on process {int(failed.argmax())}, which says why"
    reporter.note(f"warning: --compile-model is left out: {reason}")


def _eager(step: Step, objective: Objective, batch: Batch, transformers: list[Transformer]) -> tuple[float, float]:
    compiled = [transformer.compiled for transformer in transformers]
    for transformer in transformers:
        transformer.compiled = None
    try:
        return _figures(step, objective, batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainError(out_of_memory([batch])) from error
    finally:
        for transformer, its in zip(transformers, compiled, strict=True):
            transformer.compiled = its


def _compiled(step: Step, objective: Objective, batch: Batch) -> tuple[str, tuple[float, float]]:
    """What went wrong, if anything; and the figures."""
    try:
        return "", _figures(step, objective, batch)
    except Exception as error:  # whatever a compiler may raise: the run does not need it
        return _reason(error), (math.nan, math.nan)


def _problem_of_trial(step: Step, transformer: Transformer) -> str:
    """What goes wrong with one block by itself, in this process alone; empty when nothing does."""
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
    """The first line that says something, of the innermost error."""
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return f"compilation failed ({type(inner).__name__}: {lines[0][:200] if lines else 'no message'})"


def _difference(expected: tuple[float, float], found: tuple[float, float], tolerance: float) -> str:
    """Words where they differ; where the right figures are not finite, the first step says more."""
    if not all(map(math.isfinite, expected)):
        return ""
    for name, right, value in zip(("loss", "norm of the gradient"), expected, found, strict=True):
        if not abs(value - right) <= tolerance * abs(right):
            return f"the {name} of the first batch is {value:.6g}, {right:.6g} without it"
    return ""


def _figures(step: Step, objective: Objective, batch: Batch) -> tuple[float, float]:
    """Loss and norm of the gradient of this process's batch by itself: no other process has a part in its pairs."""
    torch.manual_seed(0)  # the same dropout both times
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
def _as_before(step: Step) -> Iterator[None]:
    """Gradients and the state of all random numbers come back at the end."""
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
