"""From a model and its data to a fitted model: optimizer, resumption, checkpoints, the loop, the best weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.predictor import Predictor
from aam_models.storage.model_folder import WEIGHTS, load_weights, read_weights
from aam_train.data.loading import TrainingPlan
from aam_train.data.run_data import RunData
from aam_train.device.memory import held
from aam_train.device.peak_flops import peak_of
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.schedules import build_schedule
from aam_train.engine.step import SLOTS_AT_ONCE, Step
from aam_train.engine.update import Update
from aam_train.errors import TrainError
from aam_train.evaluation.validation import Validator
from aam_train.losses.objective import Objective
from aam_train.memory.batch_plan import Batching
from aam_train.memory.fit_batch_size import find_batching
from aam_train.memory.plan_factory import Batches
from aam_train.memory.profile import MeasuredStep, build_update
from aam_train.options.compute import ComputeOptions
from aam_train.options.memory import MemoryOptions
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.run import RunOptions
from aam_train.profiling.profile import Profile
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.jsonl import JsonlReporter
from aam_train.reporting.records import Reporters
from aam_train.runs.checkpoints import BEST, checkpoint_name
from aam_train.runs.folder import RunFolder
from aam_train.runs.records import TrainingRecord
from aam_train.runs.saver import Saver, restore
from aam_train.runs.state import Progress
from aam_train.setup.compile_check import keep_compiled_if_right
from aam_train.signals import StopFlag
from aam_train.training.trainer import Keeper, Trainer

BYTES_PER_SLOT = 16 * 4  # of a block without gradients, times the width


@dataclass(frozen=True, eq=False)
class Fit:
    """What a run fits.

    Attributes:
        validate: None without validation samples.
        best_metric: of the validator's metrics.
        preprocessor_now: the preprocessor for the weights of now, with what is calibrated on them.
        record: what every checkpoint says of itself; step and metrics are filled in.
        categorical_lr: see `build_optimizer`.
    """

    folder: RunFolder
    data: RunData
    step: Step
    objective: Objective
    validate: Validator | None
    run: RunOptions
    memory: MemoryOptions
    compute: ComputeOptions
    optimizer: OptimizerOptions
    best_metric: str
    preprocessor_now: Callable[[], Preprocessor]
    record: TrainingRecord
    console: ConsoleReporter
    stop: StopFlag
    categorical_lr: float | None = None

    def execute(self) -> int:
        """Train (or continue) and leave the best weights in the model: the last ones where nothing says which are best.

        Returns:
            The last step.

        Raises:
            RunStopped, TrainError: see `Trainer.fit`.
        """
        model, options = self.step.model, self.optimizer
        if options.scheduler == "plateau" and self.validate is None:
            raise TrainError("--scheduler plateau follows the validation metric, and there are no validation samples")
        strategy = self.step.strategy
        optimizer = build_optimizer(model, options, self.categorical_lr)
        update = build_update(self.step, optimizer, options.max_grad_norm)
        held_before = held(self.step.device)
        progress = self._restore(model, update)
        self._check_compiled(progress)
        self.step.begin_training()
        self._announce()
        plan = self._plan(update, progress)
        peak_flops = self._peak()
        total_steps = self.run.epochs * plan.steps_per_epoch
        reporter = self._reporter(total_steps, progress)
        saver = self._saver(model, update, plan.steps_per_epoch)
        try:
            Trainer(
                step=self.step,
                objective=self.objective,
                update=update,
                schedule=build_schedule(options, total_steps),
                plan=plan,
                maker=self.data.maker,
                validate=self.validate,
                run=self.run,
                optimizer_options=options,
                best_metric=self.best_metric,
                keeper=Keeper(saver.save_last, saver.save_best),
                reporter=reporter,
                stop=self.stop,
                progress=progress,
                memory=None if progress.batching is None else progress.batching.memory_model(),
                limit=0 if progress.batching is None else progress.batching.limit,
                held=held_before,
                peak_flops=peak_flops,
                profile=self._profile(plan, progress),
            ).fit()
        finally:
            reporter.close()
            if isinstance(self.step, MeasuredStep) and strategy.ranks.is_first:
                size = progress.batching.batch_size if progress.batching else self.run.batch_size
                self.step.memory.report(self.folder.path, self.folder.config, size, self.console)
        checkpoints = self.folder.checkpoints
        if progress.best_step is None:
            saver.save_best(progress)
        best = checkpoints.folder / BEST
        load_weights(model, read_weights(best), str(best / WEIGHTS), strategy.fill)
        return progress.step

    def _batches(self) -> Batches:
        rows, maker = self.data.rows["train"], self.data.maker
        return Batches(self.step, self.objective, maker, rows, self.run, self.memory, self.compute)

    def _plan(self, update: Update, progress: Progress) -> TrainingPlan:
        """Batches as they were found when the run began."""
        batches = self._batches()
        if progress.batching is None and self.folder.resume is None:
            progress.batching = find_batching(batches, update, self.console)
        batching = progress.batching or Batching(self.run.batch_size)
        if batching.limit:
            slot = BYTES_PER_SLOT * self.step.encoder.config.width
            self.step.slots_at_once = max(1, min(SLOTS_AT_ONCE, batching.limit // slot))
        return batches.plan(batching, progress.processes)

    def _check_compiled(self, progress: Progress) -> None:
        if self.compute.compile_model:
            request = self._batches().small_request(progress.processes)
            keep_compiled_if_right(self.step, self.objective, self.data.maker[request], self.console)

    def _announce(self) -> None:
        n_train, strategy = len(self.data.rows["train"]), self.step.strategy
        if strategy.ranks.size > 1:
            self.console.note(f"{strategy.ranks.size} processes ({strategy.name})")
        if self.run.batch_size > n_train and not self.memory.auto_batch_size:
            self.console.note(f"--batch-size {self.run.batch_size}: all {n_train:,} training samples are one batch")
        target = self.memory.target_effective_batch_size or 0
        if target > n_train:
            self.console.note(f"--target-effective-batch-size {target}: all {n_train:,} training samples are one step")
        if 0 < target < self.run.batch_size * strategy.ranks.size and not self.memory.auto_batch_size:
            self.console.note(f"--target-effective-batch-size {target}: micro-batches have no more samples than that")
        if self.validate is None:
            self.console.note("no validation samples: there is no early stopping, and the last weights count as best")

    def _peak(self) -> float:
        """What all devices can do at most, operations a second."""
        ranks, compute = self.step.strategy.ranks, self.step.compute
        peak = peak_of(self.step.device, compute.precision)
        several = f" on each of {ranks.size} devices" if ranks.size > 1 else ""
        self.console.note(f"peak: {peak.words()}{several}")
        return float(ranks.numbers([peak.flops]).sum())

    def _profile(self, plan: TrainingPlan, progress: Progress) -> Profile | None:
        if not self.folder.config.compute.profile or not self.step.strategy.ranks.is_first:
            return None
        total = self.run.epochs * plan.steps_per_epoch
        return Profile(
            self.folder.path,
            self.step.device,
            self.console,
            first=progress.step,
            per_epoch=plan.steps_per_epoch,
            total=total,
        )

    def _restore(self, model: Encoder | Predictor, update: Update) -> Progress:
        checkpoint, checkpoints, strategy = self.folder.resume, self.folder.checkpoints, self.step.strategy
        first, now = strategy.ranks.first, f"{strategy.name}, {strategy.ranks.size}"
        if checkpoint is None:
            first(lambda: checkpoints.rewind(None, None))
            return Progress(processes=strategy.ranks.size, saved_by=now)
        progress = restore(checkpoint, model, update.optimizer, strategy)
        update.restore(progress.scaler)
        later = checkpoints.later_than(checkpoint.name)
        if later and self.run.resume_from == "auto":
            self.console.note(f"warning: damaged, so the run continues from {checkpoint.name}: {', '.join(later)}")
        else:
            self.console.note(f"the run continues from {checkpoint.name}")
        if progress.saved_by != now:
            size = progress.batching.batch_size if progress.batching else self.run.batch_size
            batch = f"micro-batches stay those of {progress.processes * size} samples"
            self.console.note(f"not bit-exact: saved on ({progress.saved_by}), continued on ({now}); {batch}")
            progress.saved_by = now
        best = None if progress.best_step is None else checkpoint_name(progress.best_step)
        if best is not None and not first(lambda: checkpoints.is_complete(best)):
            self.console.note(f"warning: the best checkpoint so far, {best}, is gone")
            progress.best_value = progress.best_step = None
        first(lambda: checkpoints.rewind(checkpoint.name, progress.best_step))
        return progress

    def _saver(self, model: Encoder | Predictor, update: Update, steps_per_epoch: int) -> Saver:
        return Saver(
            checkpoints=self.folder.checkpoints,
            strategy=self.step.strategy,
            model=model,
            update=update,
            preprocessor_now=self.preprocessor_now,
            record=self.record,
            best_metric=self.best_metric,
            steps_per_epoch=steps_per_epoch,
        )

    def _reporter(self, total_steps: int, progress: Progress) -> Reporters:
        if not self.step.strategy.ranks.is_first:
            return Reporters()
        from aam_train.reporting.tensorboard import TensorBoardReporter

        metrics = JsonlReporter(self.folder.path / "metrics.jsonl", progress.step, progress.judged)
        curves = TensorBoardReporter(self.folder.path / "tensorboard", progress.step)
        self.console.begin(total_steps, progress.step)
        return Reporters((self.console, metrics, curves))
