"""The training loop. It formats nothing, opens no file and knows no task by name."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Protocol, Self

import numpy as np

from aam_data.errors import first_few
from aam_models.batch.batch import Batch
from aam_train.data.loading import BatchMaker, TrainingPlan, default_workers, load
from aam_train.device.device import seed_step
from aam_train.device.malloc import HeapWatch, return_freed_memory
from aam_train.device.memory import reset_peak_memory, used_memory
from aam_train.engine.gradients import StepResult, gradients
from aam_train.engine.optimizer import set_rate
from aam_train.engine.schedules import Schedule, watch
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.errors import RunStopped, TrainError
from aam_train.evaluation.validation import Validator
from aam_train.losses.objective import Objective
from aam_train.memory.batch_plan import BatchPlan
from aam_train.memory.cost_model import GB, MemoryModel, cost_of_batch
from aam_train.options.metrics import HIGHER_IS_BETTER, is_better
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.run import RunOptions
from aam_train.parallel.ranks import Ranks
from aam_train.profiling.profile import Profile
from aam_train.profiling.ranges import LOAD, OPTIMIZER, record_each, record_range
from aam_train.profiling.throughput import Work
from aam_train.reporting.records import EpochRecord, Plots, Reporter, StepRecord
from aam_train.runs.state import TrainerState
from aam_train.signals import EXIT_CODES, StopFlag

SECONDS_BETWEEN_SAVES = 120.0  # of `last`
RELEASE_THRESHOLD = 0.75  # of the limit of memory: more is not kept from one step to the next
MAX_SKIPS = 20  # fp16 updates left out in a row: the loss scale has been halved as often


class Checkpointer(Protocol):
    """Publishes checkpoints of the current weights."""

    def save_last(self, state: TrainerState) -> None:
        """Let ``last`` point to a checkpoint of the current state."""
        ...

    def save_best(self, state: TrainerState) -> None:
        """Let ``best`` point to one."""
        ...


@dataclass(frozen=True)
class MemoryBudget:
    """Memory that a run may use.

    Attributes:
        model: what micro-batches need; None where nothing limits them.
        limit: bytes that training may take beyond ``held``; 0 = any.
        held: bytes before the first step.
    """

    model: MemoryModel | None = None
    limit: int = 0
    held: int = 0

    @classmethod
    def of(cls, batching: BatchPlan | None, held: int) -> Self:
        """Take model and limit from the planned batches; without a plan there is no limit."""
        if batching is None:
            return cls(held=held)
        return cls(batching.memory_model(), batching.limit, held)


@dataclass(eq=False)
class Trainer:
    """Everything a run needs.

    Attributes:
        validate: None without validation samples.
        validation_plots: plots of the last validation.
        best_metric: of the validator's metrics.
        state: where to start from.
        budget: of memory.
        peak_flops: peak FLOP/s of all devices together, see `PeakFlops`; infinite if unknown.
        profile: records a few of the steps; None for none.
        warned_above_limit, heap: whether a step above the limit was reported; when kept memory is returned.
    """

    step: Step
    objective: Objective
    update: Update
    schedule: Schedule
    plan: TrainingPlan
    maker: BatchMaker
    validate: Validator | None
    run: RunOptions
    optimizer_options: OptimizerOptions
    best_metric: str
    checkpointer: Checkpointer
    reporter: Reporter
    stop: StopFlag
    state: TrainerState
    budget: MemoryBudget = MemoryBudget()
    peak_flops: float = math.inf
    profile: Profile | None = None
    validation_plots: Callable[[], Plots] | None = None
    warned_above_limit: bool = field(default=False, init=False)
    heap: HeapWatch = field(default_factory=HeapWatch, init=False)

    def fit(self) -> None:
        """Train to the end, to early stopping or to a signal; leaves a checkpoint.

        Raises:
            RunStopped: after a signal.
            TrainError: a loss or gradient is not finite, or memory is exhausted; the weights are as before the step.
        """
        try:
            with contextlib.nullcontext() if self.profile is None else self.profile:
                self._train()
        except RunStopped:  # during validation, which is repeated first when the run resumes
            assert self.stop.received
        if self.state.step:
            self.checkpointer.save_last(self.state)
        if self.stop.requested():
            assert self.stop.received
            done = f"stopped after step {self.state.step}; continue with --resume-from auto"
            nothing = "stopped before the first step; nothing was saved"
            text = f"{self.stop.received}: {done if self.state.step else nothing}"
            raise RunStopped(text, EXIT_CODES[self.stop.received])

    def _train(self) -> None:
        state = self.state
        self._end_epoch_when_due()
        if self._finished() or self.stop.requested():
            return
        ranks, workers = self.ranks, self.run.num_workers
        workers = default_workers(self.step.device, ranks.local_size) if workers is None else workers
        remaining = self.plan.stream(state.step, self.run.epochs)
        reset_peak_memory(self.step.device)
        started = saved_at = time.monotonic()
        self._before_step()
        for batches in record_each(LOAD, load(self.maker, remaining, workers=workers, device=self.step.device)):
            self._train_step(batches, started)
            if self.profile is not None:
                self.profile.after(state.step - 1)
            if self.stop.requested():
                break
            if (self._end_epoch_when_due() and self.stop.requested()) or self._finished():
                break
            is_due = ranks.is_rank_zero and time.monotonic() - saved_at > SECONDS_BETWEEN_SAVES
            if any(ranks.all_reduce_max([is_due])):
                self.checkpointer.save_last(state)
                saved_at = time.monotonic()
            self._before_step()
            started = time.monotonic()

    def _before_step(self) -> None:
        if self.profile is not None:
            self.profile.before(self.state.step)

    def _train_step(self, batches: list[Batch], started: float) -> None:
        arrived = time.monotonic()
        number = self.state.step
        seed_step(self.run.seed, number, self.ranks.rank)
        self.step.train_mode()
        lr = self._lr(number)
        optimizer = self.update.optimizer
        set_rate(optimizer, lr)
        optimizer.zero_grad(set_to_none=True)
        result = gradients(self.step, self.objective, self.update, batches)
        skipped = self._check_finite(result)
        with record_range(OPTIMIZER):
            self.update.apply()
        self.state.step = number + 1
        work, seconds = result.work, max(time.monotonic() - started, 1e-9)
        record = StepRecord(
            step=number + 1,
            epoch=number // self.plan.steps_per_epoch + 1,
            loss=result.losses,
            lr=lr,
            grad_norm=result.grad_norm,
            skipped=skipped,
            samples=work.samples,
            asvs=work.asvs,
            occurrences=work.occurrences,
            seconds=seconds,
            data_wait=(arrived - started) / seconds,
            slot_padding=work.slot_padding,
            token_padding=work.token_padding,
            flops=work.flops,
            peak_share=work.flops / (seconds * self.peak_flops),
            peak_memory=result.peak_memory,
            expected_memory=self._expected_memory(batches),
        )
        self._add_up(record, work)
        self.reporter.step(record)
        self._return_memory()

    def _return_memory(self) -> None:
        """Return free memory to the system near the limit, or if gaps have enlarged the heap."""
        device, most = self.step.device, RELEASE_THRESHOLD * (self.budget.limit or math.inf)
        if device.type == "cpu" and self.heap.is_due(used_memory(device) - self.budget.held, most):
            return_freed_memory()

    def _expected_memory(self, batches: list[Batch]) -> int:
        if self.budget.model is None:
            return 0
        everyone = self.ranks.all_gather([batch.n_samples for batch in batches]).sum(axis=0).astype(np.int64).tolist()
        sizes = [cost_of_batch(batch, number) for batch, number in zip(batches, everyone, strict=True)]
        needed, most = max(map(self.budget.model.expected_bytes, sizes)), max(map(self.budget.model.max_bytes, sizes))
        expected, most = self.ranks.all_reduce_max([self.budget.held + needed, most])
        if most > self.budget.limit and not self.warned_above_limit:
            self.warned_above_limit = True
            self.reporter.note(
                f"warning: step {self.state.step} may need {most / GB:.3g} GB, above the limit of "
                f"{self.budget.limit / GB:.3g} GB: its samples have more ASVs than those sampled before the run "
                "(shown once; --max-asvs bounds them)"
            )
        return expected

    def _check_finite(self, result: StepResult) -> bool:
        """Return whether fp16 leaves this update out; raise for everything else that is not finite.

        All processes have the same result, so they all decide alike.
        """
        state, loss = self.state, result.losses
        if math.isfinite(loss["total"]) and math.isfinite(result.grad_norm):
            state.skips = 0
            return False
        bad = [name for name, value in loss.items() if name != "total" and not math.isfinite(value)]
        if self.update.scaler is not None and not bad and state.skips < MAX_SKIPS:
            state.skips += 1
            return True
        what = f"the loss of {', '.join(bad)}" if bad else "the gradient"
        where = np.flatnonzero(result.not_finite)
        where = where if len(where) else np.arange(self.ranks.size)
        rows = np.concatenate([result.rows[rank] for rank in where])
        if self.ranks.size > 1:
            what += f" on process {', '.join(map(str, where))}"
        ids = first_few(self.maker.samples.study.table.sample_ids[rows].tolist())
        remedy = "Lower --lr"
        if self.update.scaler is not None:
            what += f" ({MAX_SKIPS} updates in a row before it)" if not bad else ""
            remedy += ", or use --mixed-precision bf16 or none"
        raise TrainError(f"step {state.step + 1}: {what} is not finite, samples {ids}. {remedy}")

    @property
    def ranks(self) -> Ranks:
        return self.step.strategy.ranks

    def _end_epoch_when_due(self) -> bool:
        """Finish the epoch if one has ended; return whether it has."""
        is_due = not self.state.is_validated(self.plan.steps_per_epoch)
        if is_due:
            self._end_epoch(self.state.step // self.plan.steps_per_epoch)
        return is_due

    def _end_epoch(self, epoch: int) -> None:
        state, started = self.state, time.monotonic()
        # nothing changes until validation is done: if a signal interrupts it, the epoch is validated again
        # what follows (best, early stop, plateau) is decided alike on all processes, since the metrics are the same
        validation = self.ranks.broadcast({} if self.validate is None else self.validate(self.step))
        self._return_memory()
        state.validation, state.judged = validation, epoch
        value, lr = validation.get(self.best_metric, math.nan), self._lr(state.step - 1)
        best = self._update_best(value)
        higher = HIGHER_IS_BETTER[self.best_metric]
        if self.optimizer_options.scheduler == "plateau" and watch(
            state.plateau, value, self.optimizer_options, higher_is_better=higher
        ):
            lowered = self._lr(state.step)
            self.reporter.note(f"{self.best_metric} does not improve: the learning rate is now {lowered:.3g}")
        sums, state.sums = state.sums, {}
        work = Work.from_sums(sums)
        self.reporter.epoch(
            EpochRecord(
                step=state.step,
                epoch=epoch,
                epochs=self.run.epochs,
                train={name[5:]: total / sums["steps"] for name, total in sums.items() if name.startswith("loss:")},
                validation=state.validation,
                best=best,
                lr=lr,
                skipped=int(sums["skipped"]),
                seconds=sums["seconds"],
                validation_seconds=time.monotonic() - started,
                samples_per_second=sums["samples"] / sums["seconds"],
                asvs_per_second=sums["asvs"] / sums["seconds"],
                occurrences_per_asv=sums["occurrences"] / sums["asvs"],
                data_wait=sums["waited"] / sums["seconds"],
                slot_padding=work.slot_padding,
                token_padding=work.token_padding,
                flops_per_second=work.flops / sums["seconds"],
                peak_flops=self.peak_flops,
                peak_share=sums.get("peak_seconds", 0.0) / sums["seconds"],
                peak_memory=int(sums.get("peak_memory", 0)),
                expected_memory=int(sums.get("expected_memory", 0)),
            )
        )
        if self.validation_plots is not None and self.ranks.is_rank_zero:
            self.reporter.plots(self.validation_plots(), state.step)
        reset_peak_memory(self.step.device)
        if best:
            self.checkpointer.save_best(state)
        if self._impatient() and epoch < self.run.epochs:
            self.reporter.note(
                f"stopped early: {self.best_metric} has not improved for {state.stale_epochs} epochs "
                f"(--patience {self.run.patience}); best {state.best_value:.4g} at step {state.best_step}"
            )
        if self.validate is not None and state.best_value is None and epoch == 1:
            self.reporter.note(
                f"warning: {self.best_metric} is undefined on the validation samples (too few of them, or all of one "
                "class). Until it is defined there is no early stopping, and the last weights count as the best"
            )

    def _update_best(self, value: float) -> bool:
        """Return whether this is the best epoch so far; an undefined metric is never the best."""
        state = self.state
        so_far = math.nan if state.best_value is None else state.best_value
        better = is_better(value, so_far, higher_is_better=HIGHER_IS_BETTER[self.best_metric])
        if better:
            state.best_value, state.best_step, state.stale_epochs = value, state.step, 0
        elif state.best_value is not None:
            state.stale_epochs += 1
        return better

    def _lr(self, step: int) -> float:
        return self.optimizer_options.lr * self.schedule.factor(step, self.state.plateau)

    def _impatient(self) -> bool:
        return 0 < self.run.patience <= self.state.stale_epochs

    def _finished(self) -> bool:
        return self._impatient() or self.state.step >= self.run.epochs * self.plan.steps_per_epoch

    def _add_up(self, record: StepRecord, work: Work) -> None:
        sums = self.state.sums
        added: dict[str, float] = {f"loss:{name}": value for name, value in record.loss.items()}
        added |= {"steps": 1, "seconds": record.seconds, "skipped": record.skipped, **asdict(work)}
        added |= {"waited": record.seconds * record.data_wait, "peak_seconds": record.seconds * record.peak_share}
        for name, value in added.items():
            sums[name] = sums.get(name, 0.0) + value
        for name, value in (("peak_memory", record.peak_memory), ("expected_memory", record.expected_memory)):
            sums[name] = max(sums.get(name, 0.0), value)
