"""The training loop, as a recipe. It formats nothing, opens no file and knows no task by name."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from aam_models.batch import Batch
from aam_train.config import OptimizerOptions, RunOptions
from aam_train.errors import RunStopped, TrainError
from aam_train.loading import BatchMaker, TrainingPlan, default_workers, load
from aam_train.metrics import HIGHER_IS_BETTER
from aam_train.objective import LossBreakdown, Objective
from aam_train.optim import Schedule
from aam_train.reporting.records import EpochRecord, Reporter, StepRecord
from aam_train.runtime import seed_step
from aam_train.signals import EXIT_CODES, StopFlag
from aam_train.step import Step
from aam_train.validation import Validator


@dataclass
class Progress:
    """Where a run stands; saved with every checkpoint.

    Attributes:
        step: updates done.
        sums: of the running epoch: losses, and what throughput is computed from.
        best_value, best_step: of the best metric so far.
        stale_epochs: since then.
        finished: the run has ended by itself.
        validation: metrics at the last epoch's end.
    """

    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best_value: float | None = None
    best_step: int | None = None
    stale_epochs: int = 0
    finished: bool = False
    validation: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Keeper:
    """How the trainer keeps its state, given by the run.

    Attributes:
        save_last: publish a checkpoint of now and let ``last`` point to it.
        save_best: the same for ``best``.
        seconds_between: of saving ``last`` at the end of an epoch.
    """

    save_last: Callable[[Progress], None]
    save_best: Callable[[Progress], None]
    seconds_between: float = 60.0


@dataclass(eq=False)
class Trainer:
    """Everything a run needs.

    Attributes:
        best_metric: of the validator's metrics.
        progress: where to start from.
    """

    step: Step
    objective: Objective
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    plan: TrainingPlan
    maker: BatchMaker
    validate: Validator
    run: RunOptions
    optimizer_options: OptimizerOptions
    best_metric: str
    keeper: Keeper
    reporter: Reporter
    stop: StopFlag
    progress: Progress

    def fit(self) -> None:
        """Train to the end, to early stopping or to a signal.

        Raises:
            RunStopped: after a signal, when the checkpoint is saved.
            TrainError: a loss or gradient is not finite; the weights are as before the step.
        """
        progress, saved_at = self.progress, time.monotonic()
        workers = self.run.num_workers
        workers = default_workers(self.step.device) if workers is None else workers
        remaining = self.plan.stream(progress.step, self.run.epochs) if not progress.finished else iter(())
        started = time.monotonic()
        for batch in load(self.maker, remaining, workers=workers, device=self.step.device):
            self._train_step(batch, started)
            if progress.step % self.plan.steps_per_epoch == 0:
                self._end_epoch()
                if progress.finished:
                    break
                if time.monotonic() - saved_at > self.keeper.seconds_between:
                    self.keeper.save_last(progress)
                    saved_at = time.monotonic()
            if self.stop.received:
                self._leave(self.stop.received)
            started = time.monotonic()
        progress.finished = True
        self.keeper.save_last(progress)

    def _train_step(self, batch: Batch, started: float) -> None:
        arrived = time.monotonic()
        number = self.progress.step
        seed_step(self.run.seed, number)
        self.step.train_mode()
        lr = self.optimizer_options.lr * self.schedule(number)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.step.losses(batch, self.objective, self.objective.look_up(batch))
        total = losses.total()
        total.backward()
        norm = self._clip()
        self._check_finite(total, norm, losses, batch)
        self.optimizer.step()
        self.progress.step = number + 1
        values = {"total": total.item()} | {name: term.value().item() for name, term in losses.terms.items()}
        now = time.monotonic()
        record = StepRecord(
            step=number + 1,
            epoch=number // self.plan.steps_per_epoch + 1,
            loss=values,
            lr=lr,
            grad_norm=float(norm),
            samples=batch.n_samples,
            asvs=batch.n_asvs,
            occurrences=batch.n_occurrences,
            seconds=now - started,
            data_wait=(arrived - started) / max(now - started, 1e-9),
        )
        self._add_up(record)
        self.reporter.step(record)

    def _clip(self) -> torch.Tensor:
        learned = [p for group in self.optimizer.param_groups for p in group["params"]]
        limit = self.optimizer_options.max_grad_norm or math.inf
        return torch.nn.utils.clip_grad_norm_(learned, limit)

    def _check_finite(self, total: torch.Tensor, norm: torch.Tensor, losses: LossBreakdown, batch: Batch) -> None:
        if bool(torch.isfinite(total + norm)):
            return
        bad = [name for name, term in losses.terms.items() if not bool(torch.isfinite(term.value()))]
        table = self.maker.samples.study.table
        ids = table.sample_ids[batch.sample_keys[:, 1].numpy()]
        raise TrainError(
            f"step {self.progress.step + 1}: {'the loss of ' + ', '.join(bad) if bad else 'the gradient'} is not "
            f"finite, samples {', '.join(ids[:5])}{' ...' if len(ids) > 5 else ''}. Lower --lr"
        )

    def _end_epoch(self) -> None:
        progress, started = self.progress, time.monotonic()
        progress.validation = self.validate(self.step)
        value = progress.validation[self.best_metric]
        best = self._is_better(value)
        if best:
            progress.best_value, progress.best_step, progress.stale_epochs = value, progress.step, 0
        else:
            progress.stale_epochs += 1
        sums, progress.sums = progress.sums, {}
        epoch = progress.step // self.plan.steps_per_epoch
        impatient = 0 < self.run.patience <= progress.stale_epochs
        progress.finished = impatient or epoch >= self.run.epochs
        self.reporter.epoch(
            EpochRecord(
                step=progress.step,
                epoch=epoch,
                epochs=self.run.epochs,
                train={name[5:]: total / sums["steps"] for name, total in sums.items() if name.startswith("loss:")},
                validation=progress.validation,
                best=best,
                lr=self.optimizer.param_groups[0]["lr"],
                seconds=sums["seconds"],
                validation_seconds=time.monotonic() - started,
                samples_per_second=sums["samples"] / sums["seconds"],
                asvs_per_second=sums["asvs"] / sums["seconds"],
                occurrences_per_asv=sums["occurrences"] / sums["asvs"],
                data_wait=sums["waited"] / sums["seconds"],
            )
        )
        if best:
            self.keeper.save_best(progress)
        if impatient and epoch < self.run.epochs:
            self.reporter.note(
                f"stopped early: {self.best_metric} has not improved for {progress.stale_epochs} epochs "
                f"(--patience {self.run.patience}); best {progress.best_value:.4g} at step {progress.best_step}"
            )

    def _is_better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        best = self.progress.best_value
        if best is None:
            return True
        return value > best if HIGHER_IS_BETTER[self.best_metric] else value < best

    def _add_up(self, record: StepRecord) -> None:
        sums = self.progress.sums
        added = {f"loss:{name}": value for name, value in record.loss.items()}
        added |= {"steps": 1, "samples": record.samples, "asvs": record.asvs, "occurrences": record.occurrences}
        added |= {"seconds": record.seconds, "waited": record.seconds * record.data_wait}
        for name, value in added.items():
            sums[name] = sums.get(name, 0.0) + value

    def _leave(self, signal_name: str) -> None:
        self.keeper.save_last(self.progress)
        raise RunStopped(
            f"{signal_name}: stopped after step {self.progress.step}; continue with --resume-from auto",
            EXIT_CODES[signal_name],
        )
