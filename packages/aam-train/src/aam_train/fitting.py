"""From a model and its data to a fitted model: optimizer, resumption, checkpoints, the loop, the best weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aam_data.preprocessor import Preprocessor
from aam_models.encoder import Encoder
from aam_models.model_folder import WEIGHTS, load_weights, read_weights
from aam_models.predictor import Predictor
from aam_train.artifacts import load_state, write_checkpoint
from aam_train.checkpoint import BEST, LAST, checkpoint_name
from aam_train.compute import Update
from aam_train.config import RunOptions
from aam_train.errors import TrainError
from aam_train.loading import TrainingPlan
from aam_train.memory import MeasuredStep, build_update
from aam_train.model_records import TrainingRecord
from aam_train.objective import Objective
from aam_train.optim import build_optimizer
from aam_train.optimizer_config import OptimizerOptions
from aam_train.progress import Progress
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.jsonl import JsonlReporter
from aam_train.reporting.records import Reporters
from aam_train.run_data import RunData
from aam_train.run_folder import RunFolder
from aam_train.schedules import build_schedule
from aam_train.signals import StopFlag
from aam_train.step import Step
from aam_train.trainer import Keeper, Trainer
from aam_train.validation import Validator


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
        optimizer = build_optimizer(model, options, self.categorical_lr)
        update = build_update(self.step, optimizer, options.max_grad_norm)
        progress = self._restore(model, update)
        plan = self._plan()
        self._announce()
        total_steps = self.run.epochs * plan.steps_per_epoch
        reporter = self._reporter(total_steps, progress)
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
                keeper=self._keeper(model, update, plan.steps_per_epoch),
                reporter=reporter,
                stop=self.stop,
                progress=progress,
            ).fit()
        finally:
            reporter.close()
            if isinstance(self.step, MeasuredStep):
                self.step.memory.report(self.folder.path, self.folder.config, self.console)
        checkpoints = self.folder.checkpoints
        if progress.best_step is None:
            checkpoints.point(BEST, checkpoint_name(progress.step))
        best = checkpoints.folder / BEST
        load_weights(model, read_weights(best), str(best / WEIGHTS))
        return progress.step

    def _plan(self) -> TrainingPlan:
        run = self.run
        rows, masking = self.data.rows["train"], self.objective.masking
        return TrainingPlan(rows, run.batch_size, run.seed, masking, run.gradient_accumulation_steps)

    def _announce(self) -> None:
        n_train = len(self.data.rows["train"])
        if self.run.batch_size > n_train:
            self.console.note(f"--batch-size {self.run.batch_size}: all {n_train:,} training samples are one batch")
        if self.validate is None:
            self.console.note("no validation samples: there is no early stopping, and the last weights count as best")

    def _restore(self, model: Encoder | Predictor, update: Update) -> Progress:
        checkpoint, checkpoints = self.folder.resume, self.folder.checkpoints
        if checkpoint is None:
            checkpoints.rewind(None, None)
            return Progress()
        load_weights(model, read_weights(checkpoint), str(checkpoint / WEIGHTS))
        progress = load_state(checkpoint, model, update.optimizer)
        update.restore(progress.scaler)
        later = checkpoints.later_than(checkpoint.name)
        if later and self.run.resume_from == "auto":
            self.console.note(f"warning: damaged, so the run continues from {checkpoint.name}: {', '.join(later)}")
        else:
            self.console.note(f"the run continues from {checkpoint.name}")
        if progress.best_step is not None and not checkpoints.is_complete(checkpoint_name(progress.best_step)):
            self.console.note(f"warning: the best checkpoint so far, {checkpoint_name(progress.best_step)}, is gone")
            progress.best_value = progress.best_step = None
        checkpoints.rewind(checkpoint.name, progress.best_step)
        return progress

    def _keeper(self, model: Encoder | Predictor, update: Update, steps_per_epoch: int) -> Keeper:
        checkpoints = self.folder.checkpoints

        def save(progress: Progress, pointer: str) -> None:
            progress.scaler = update.state()
            record = replace(
                self.record,
                step=progress.step,
                validation=progress.validation,
                best_metric=self.best_metric,
                best_value=progress.best_value,
            )
            preprocessor = self.preprocessor_now()
            name = checkpoint_name(progress.step, judged=progress.is_judged(steps_per_epoch))
            checkpoints.save(
                name,
                lambda path: write_checkpoint(path, model, preprocessor, record, update.optimizer, progress),
            )
            checkpoints.point(pointer, name)

        return Keeper(save_last=lambda progress: save(progress, LAST), save_best=lambda progress: save(progress, BEST))

    def _reporter(self, total_steps: int, progress: Progress) -> Reporters:
        from aam_train.reporting.tensorboard import TensorBoardReporter

        metrics = JsonlReporter(self.folder.path / "metrics.jsonl", progress.step, progress.judged)
        curves = TensorBoardReporter(self.folder.path / "tensorboard", progress.step)
        self.console.begin(total_steps, progress.step)
        return Reporters((self.console, metrics, curves))
