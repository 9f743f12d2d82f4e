"""The training loop, as a recipe. It formats nothing, opens no file and knows no task by name."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from aam_data.errors import first_few
from aam_models.batch import Batch
from aam_train.config import RunOptions
from aam_train.errors import RunStopped, TrainError
from aam_train.loading import BatchMaker, TrainingPlan, default_workers, load
from aam_train.metrics import HIGHER_IS_BETTER
from aam_train.objective import LossBreakdown, Objective
from aam_train.optim import Schedule
from aam_train.optimizer_config import OptimizerOptions
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
        validation: metrics at the last epoch's end; empty before that, and without validation samples.
    """

    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best_value: float | None = None
    best_step: int | None = None
    stale_epochs: int = 0
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
        validate: None without validation samples.
        best_metric: of the validator's metrics.
        progress: where to start from.
    """

    step: Step
    objective: Objective
    optimizer: torch.optim.Optimizer
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

    def fit(self) -> None:
        """Train to the end, to early stopping or to a signal; leaves a checkpoint.

        Raises:
            RunStopped: after a signal.
            TrainError: a loss or gradient is not finite; the weights are as before the step.
        """
        if not self._finished():
            self._train()
        self.keeper.save_last(self.progress)
        if self.stop.received:
            raise RunStopped(
                f"{self.stop.received}: stopped after step {self.progress.step}; continue with --resume-from auto",
                EXIT_CODES[self.stop.received],
            )

    def _train(self) -> None:
        progress = self.progress
        workers = self.run.num_workers
        workers = default_workers(self.step.device) if workers is None else workers
        remaining = self.plan.stream(progress.step, self.run.epochs)
        started = saved_at = time.monotonic()
        for batch in load(self.maker, remaining, workers=workers, device=self.step.device):
            self._train_step(batch, started)
            if progress.step % self.plan.steps_per_epoch == 0:
                self._end_epoch()
                if time.monotonic() - saved_at > self.keeper.seconds_between:
                    self.keeper.save_last(progress)
                    saved_at = time.monotonic()
            if self.stop.received or self._finished():
                break
            started = time.monotonic()

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
        loss, grad_norm = _on_host(total, losses, norm)
        self._check_finite(loss, grad_norm, batch)
        self.optimizer.step()
        self.progress.step = number + 1
        now = time.monotonic()
        record = StepRecord(
            step=number + 1,
            epoch=number // self.plan.steps_per_epoch + 1,
            loss=loss,
            lr=lr,
            grad_norm=grad_norm,
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

    def _check_finite(self, loss: dict[str, float], grad_norm: float, batch: Batch) -> None:
        if math.isfinite(loss["total"]) and math.isfinite(grad_norm):
            return
        bad = [name for name, value in loss.items() if name != "total" and not math.isfinite(value)]
        what = f"the loss of {', '.join(bad)}" if bad else "the gradient"
        ids = self.maker.samples.study.table.sample_ids[batch.sample_keys[:, 1].numpy()]
        raise TrainError(
            f"step {self.progress.step + 1}: {what} is not finite, samples {first_few(ids.tolist())}. Lower --lr"
        )

    def _end_epoch(self) -> None:
        progress, started = self.progress, time.monotonic()
        progress.validation = {} if self.validate is None else self.validate(self.step)
        best = self._judge(progress.validation.get(self.best_metric, math.nan))
        sums, progress.sums = progress.sums, {}
        epoch = progress.step // self.plan.steps_per_epoch
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
        progress, best = self.progress, self.progress.best_value
        higher = HIGHER_IS_BETTER[self.best_metric]
        better = math.isfinite(value) and (best is None or (value > best if higher else value < best))
        if better:
            progress.best_value, progress.best_step, progress.stale_epochs = value, progress.step, 0
        elif best is not None:
            progress.stale_epochs += 1
        return better

    def _impatient(self) -> bool:
        return 0 < self.run.patience <= self.progress.stale_epochs

    def _finished(self) -> bool:
        return self._impatient() or self.progress.step >= self.run.epochs * self.plan.steps_per_epoch

    def _add_up(self, record: StepRecord) -> None:
        sums = self.progress.sums
        added = {f"loss:{name}": value for name, value in record.loss.items()}
        added |= {"steps": 1, "samples": record.samples, "asvs": record.asvs, "occurrences": record.occurrences}
        added |= {"seconds": record.seconds, "waited": record.seconds * record.data_wait}
        for name, value in added.items():
            sums[name] = sums.get(name, 0.0) + value


def _on_host(total: torch.Tensor, losses: LossBreakdown, norm: torch.Tensor) -> tuple[dict[str, float], float]:
    """Total and terms of the loss and the norm of the gradient, in one transfer from the device."""
    terms = {name: term.value() for name, term in losses.terms.items()}
    *values, grad_norm = torch.stack([total, *terms.values(), norm]).detach().tolist()
    return dict(zip(["total", *terms], values, strict=True)), grad_norm
