"""The training loop, as a recipe. It formats nothing, opens no file and knows no task by name."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np

from aam_data.errors import first_few
from aam_models.batch.batch import Batch
from aam_train.data.loading import BatchMaker, TrainingPlan, default_workers, load
from aam_train.device.device import seed_step
from aam_train.device.malloc import return_freed_memory
from aam_train.device.memory import held, reset_peak
from aam_train.engine.gradients import StepResult, gradients
from aam_train.engine.optimizer import set_rate
from aam_train.engine.schedules import Schedule, watch
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.errors import RunStopped, TrainError
from aam_train.evaluation.validation import Validator
from aam_train.losses.objective import Objective
from aam_train.memory.cost_model import GB, MemoryModel, size_of_batch
from aam_train.options.metrics import HIGHER_IS_BETTER, is_better
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.run import RunOptions
from aam_train.parallel.ranks import Ranks
from aam_train.profiling.profile import Profile
from aam_train.profiling.ranges import LOAD, OPTIMIZER, label, labelled
from aam_train.profiling.throughput import Work
from aam_train.reporting.records import EpochRecord, Reporter, StepRecord
from aam_train.runs.state import Progress
from aam_train.signals import EXIT_CODES, StopFlag

KEPT = 0.75  # of the limit of memory: more is not kept from one step to the next
MOST_SKIPS = 20  # fp16 updates left out in a row: the loss scale has been halved as often


@dataclass(frozen=True, eq=False)
class Keeper:
    """How the trainer keeps its state, given by the run.

    Attributes:
        save_last: publish a checkpoint of now and let ``last`` point to it.
        save_best: the same for ``best``.
        seconds_between: of saving ``last``.
    """

    save_last: Callable[[Progress], None]
    save_best: Callable[[Progress], None]
    seconds_between: float = 120.0


@dataclass(eq=False)
class Trainer:
    """Everything a run needs.

    Attributes:
        validate: None without validation samples.
        best_metric: of the validator's metrics.
        progress: where to start from.
        memory: what micro-batches need; None where there is no limit.
        limit: bytes that training may take beyond ``held``; 0 = any.
        held: bytes before the first step.
        peak_flops: operations a second that all devices could do, see `Peak`; what is unknown is infinite.
        profile: records a few of the steps; None for none.
        told_above_limit: a step that may need more than ``limit`` was told of.
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
    keeper: Keeper
    reporter: Reporter
    stop: StopFlag
    progress: Progress
    memory: MemoryModel | None = None
    limit: int = 0
    held: int = 0
    peak_flops: float = math.inf
    profile: Profile | None = None
    told_above_limit: bool = field(default=False, init=False)

    def fit(self) -> None:
        """Train to the end, to early stopping or to a signal; leaves a checkpoint.

        Raises:
            RunStopped: after a signal.
            TrainError: a loss or gradient is not finite, or memory is exhausted; the weights are as before the step.
        """
        try:
            with contextlib.nullcontext() if self.profile is None else self.profile:
                self._train()
        except RunStopped:  # within validation, which comes first when the run goes on
            assert self.stop.received
        if self.progress.step:
            self.keeper.save_last(self.progress)
        if self.stop.asked():
            assert self.stop.received
            done = f"stopped after step {self.progress.step}; continue with --resume-from auto"
            nothing = "stopped before the first step; nothing was saved"
            text = f"{self.stop.received}: {done if self.progress.step else nothing}"
            raise RunStopped(text, EXIT_CODES[self.stop.received])

    def _train(self) -> None:
        progress = self.progress
        self._end_epoch_when_due()
        if self._finished() or self.stop.asked():
            return
        ranks, workers = self.ranks, self.run.num_workers
        workers = default_workers(self.step.device, ranks.local_size) if workers is None else workers
        remaining = self.plan.stream(progress.step, self.run.epochs)
        reset_peak(self.step.device)
        started = saved_at = time.monotonic()
        self._before_step()
        for batches in labelled(LOAD, load(self.maker, remaining, workers=workers, device=self.step.device)):
            self._train_step(batches, started)
            if self.profile is not None:
                self.profile.after(progress.step - 1)
            if self.stop.asked():
                break
            if (self._end_epoch_when_due() and self.stop.asked()) or self._finished():
                break
            is_due = ranks.is_first and time.monotonic() - saved_at > self.keeper.seconds_between
            if any(ranks.highest([is_due])):
                self.keeper.save_last(progress)
                saved_at = time.monotonic()
            self._before_step()
            started = time.monotonic()

    def _before_step(self) -> None:
        if self.profile is not None:
            self.profile.before(self.progress.step)

    def _train_step(self, batches: list[Batch], started: float) -> None:
        arrived = time.monotonic()
        number = self.progress.step
        seed_step(self.run.seed, number, self.ranks.rank)
        self.step.train_mode()
        lr = self._lr(number)
        optimizer = self.update.optimizer
        set_rate(optimizer, lr)
        optimizer.zero_grad(set_to_none=True)
        result = gradients(self.step, self.objective, self.update, batches)
        skipped = self._check_finite(result)
        with label(OPTIMIZER):
            self.update.apply()
        self.progress.step = number + 1
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
        """What is free but held by gaps of the heap grows from step to step: near the limit it goes back."""
        if self.limit and self.step.device.type == "cpu" and held(self.step.device) - self.held > KEPT * self.limit:
            return_freed_memory()

    def _expected_memory(self, batches: list[Batch]) -> int:
        if self.memory is None:
            return 0
        everyone = self.ranks.numbers([batch.n_samples for batch in batches]).sum(axis=0).astype(np.int64).tolist()
        sizes = [size_of_batch(batch, number) for batch, number in zip(batches, everyone, strict=True)]
        needed, most = max(map(self.memory.bytes, sizes)), max(map(self.memory.most, sizes))
        expected, most = self.ranks.highest([self.held + needed, most])
        if most > self.limit and not self.told_above_limit:
            self.told_above_limit = True
            self.reporter.note(
                f"warning: step {self.progress.step} may need {most / GB:.3g} GB, above the limit of "
                f"{self.limit / GB:.3g} GB: samples drawn for it have more ASVs than those that were looked at before "
                "the run. Not said again; --token-limit bounds them"
            )
        return expected

    def _check_finite(self, result: StepResult) -> bool:
        """Whether fp16 leaves this update out; refuses everything else that is not finite.

        All processes have the same result, and so do the same.
        """
        progress, loss = self.progress, result.losses
        if math.isfinite(loss["total"]) and math.isfinite(result.grad_norm):
            progress.skips = 0
            return False
        bad = [name for name, value in loss.items() if name != "total" and not math.isfinite(value)]
        if self.update.scaler is not None and not bad and progress.skips < MOST_SKIPS:
            progress.skips += 1
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
            what += f" ({MOST_SKIPS} updates in a row before it)" if not bad else ""
            remedy += ", or give --mixed-precision bf16 or none"
        raise TrainError(f"step {progress.step + 1}: {what} is not finite, samples {ids}. {remedy}")

    @property
    def ranks(self) -> Ranks:
        return self.step.strategy.ranks

    def _end_epoch_when_due(self) -> bool:
        """Whether an epoch has ended and was judged."""
        is_due = not self.progress.is_judged(self.plan.steps_per_epoch)
        if is_due:
            self._end_epoch(self.progress.step // self.plan.steps_per_epoch)
        return is_due

    def _end_epoch(self, epoch: int) -> None:
        progress, started = self.progress, time.monotonic()
        # until validation is done nothing changes, so that a signal in it leaves the epoch to be judged again
        # what follows from it (best, early stop, plateau) is decided alike everywhere, since the figures are the same
        validation = self.ranks.same({} if self.validate is None else self.validate(self.step))
        self._return_memory()
        progress.validation, progress.judged = validation, epoch
        value, lr = validation.get(self.best_metric, math.nan), self._lr(progress.step - 1)
        best = self._judge(value)
        higher = HIGHER_IS_BETTER[self.best_metric]
        if self.optimizer_options.scheduler == "plateau" and watch(
            progress.plateau, value, self.optimizer_options, higher_is_better=higher
        ):
            lowered = self._lr(progress.step)
            self.reporter.note(f"{self.best_metric} does not improve: the learning rate is {lowered:.3g} from now on")
        sums, progress.sums = progress.sums, {}
        work = Work.of_sums(sums)
        self.reporter.epoch(
            EpochRecord(
                step=progress.step,
                epoch=epoch,
                epochs=self.run.epochs,
                train={name[5:]: total / sums["steps"] for name, total in sums.items() if name.startswith("loss:")},
                validation=progress.validation,
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
        reset_peak(self.step.device)
        if best:
            self.keeper.save_best(progress)
        if self._impatient() and epoch < self.run.epochs:
            self.reporter.note(
                f"stopped early: {self.best_metric} has not improved for {progress.stale_epochs} epochs "
                f"(--patience {self.run.patience}); best {progress.best_value:.4g} at step {progress.best_step}"
            )
        if self.validate is not None and progress.best_value is None and epoch == 1:
            self.reporter.note(
                f"warning: {self.best_metric} is undefined on the validation samples (too few of them, or all of one "
                "class). Until it is defined there is no early stopping, and the last weights count as the best"
            )

    def _judge(self, value: float) -> bool:
        """Whether this is the best epoch so far; an undefined metric is never the best."""
        progress = self.progress
        so_far = math.nan if progress.best_value is None else progress.best_value
        better = is_better(value, so_far, higher_is_better=HIGHER_IS_BETTER[self.best_metric])
        if better:
            progress.best_value, progress.best_step, progress.stale_epochs = value, progress.step, 0
        elif progress.best_value is not None:
            progress.stale_epochs += 1
        return better

    def _lr(self, step: int) -> float:
        return self.optimizer_options.lr * self.schedule.factor(step, self.progress.plateau)

    def _impatient(self) -> bool:
        return 0 < self.run.patience <= self.progress.stale_epochs

    def _finished(self) -> bool:
        return self._impatient() or self.progress.step >= self.run.epochs * self.plan.steps_per_epoch

    def _add_up(self, record: StepRecord, work: Work) -> None:
        sums = self.progress.sums
        added: dict[str, float] = {f"loss:{name}": value for name, value in record.loss.items()}
        added |= {"steps": 1, "seconds": record.seconds, "skipped": record.skipped, **asdict(work)}
        added |= {"waited": record.seconds * record.data_wait, "peak_seconds": record.seconds * record.peak_share}
        for name, value in added.items():
            sums[name] = sums.get(name, 0.0) + value
        for name, value in (("peak_memory", record.peak_memory), ("expected_memory", record.expected_memory)):
            sums[name] = max(sums.get(name, 0.0), value)
