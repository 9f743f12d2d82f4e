"""A run from a model that is set up to its best weights: optimizer, resumption, checkpoints, the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.storage.model_folder import WEIGHTS, load_weights, read_weights
from aam_train.data.loading import TrainingPlan
from aam_train.device.memory import used_memory
from aam_train.device.peak_flops import device_peak
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.schedules import build_schedule
from aam_train.engine.step import SLOTS_AT_ONCE
from aam_train.engine.update import Update
from aam_train.errors import TrainError
from aam_train.evaluation.validation import Validator
from aam_train.memory.batch_plan import BatchPlan
from aam_train.memory.fit_batch_size import fit_batch_size
from aam_train.memory.plan_factory import PlanFactory
from aam_train.memory.profile import MeasuredStep, build_update
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.profiling.profile import Profile
from aam_train.reporting.jsonl import JsonlReporter
from aam_train.reporting.records import Plots, Reporters
from aam_train.runs.checkpoints import BEST, checkpoint_name
from aam_train.runs.folder import RunFolder
from aam_train.runs.records import TrainingRecord
from aam_train.runs.saver import Saver, restore
from aam_train.runs.state import TrainerState
from aam_train.setup.compile_check import verify_compiled
from aam_train.setup.run_context import RunContext
from aam_train.setup.training_setup import TrainingSetup
from aam_train.training.trainer import MemoryBudget, Trainer

BYTES_PER_SLOT = 16 * 4  # of a block without gradients, times the width


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A run from its initial or resumed weights to its best ones.

    Attributes:
        config: settings of the run.
        setup: model, data and loss.
        record: what every checkpoint says about itself; step and metrics are filled in.
        validate: None without validation samples.
        validation_plots: returns the plots of the last validation; None for none.
        calibrated_preprocessor: returns the preprocessor for the current weights, with what is calibrated on them.
    """

    config: PretrainConfig | TrainConfig
    folder: RunFolder
    context: RunContext
    setup: TrainingSetup
    record: TrainingRecord
    validate: Validator | None
    calibrated_preprocessor: Callable[[], Preprocessor]
    validation_plots: Callable[[], Plots] | None = None

    def run(self) -> int:
        """Train (or continue) and leave the best weights in the model: the last ones where no metric decides.

        Returns:
            The last step.

        Raises:
            RunStopped, TrainError: see `Trainer.fit`.
        """
        step, options, strategy = self.setup.step, self.config.optimizer, self.context.strategy
        if options.scheduler == "plateau" and self.validate is None:
            raise TrainError("--scheduler plateau needs the validation metric, and there are no validation samples")
        update = build_update(
            step, build_optimizer(step.model, options, self.config.categorical_lr), options.max_grad_norm
        )
        held_before = used_memory(step.device)
        state = self._restore(update)
        self._check_compiled(state)
        step.begin_training()
        self._announce()
        plan = self._plan(update, state)
        peak_flops = self._peak()
        total_steps = self.config.run.epochs * plan.steps_per_epoch
        reporter = self._reporter(total_steps, state)
        saver = self._saver(update, plan.steps_per_epoch)
        try:
            Trainer(
                step=step,
                objective=self.setup.objective,
                update=update,
                schedule=build_schedule(options, total_steps),
                plan=plan,
                maker=self.setup.data.maker,
                validate=self.validate,
                run=self.config.run,
                optimizer_options=options,
                best_metric=self.config.best_metric,
                checkpointer=saver,
                reporter=reporter,
                stop=self.context.stop,
                state=state,
                budget=MemoryBudget.of(state.batching, held_before),
                peak_flops=peak_flops,
                profile=self._profile(plan, state),
                validation_plots=self.validation_plots,
            ).fit()
        finally:
            reporter.close()
            self._report_memory(state)
        if state.best_step is None:
            saver.save_best(state)
        best = self.folder.checkpoints.folder / BEST
        load_weights(step.model, read_weights(best), str(best / WEIGHTS), strategy.load_shard)
        return state.step

    def _report_memory(self, state: TrainerState) -> None:
        step = self.setup.step
        if isinstance(step, MeasuredStep) and self.context.ranks.is_rank_zero:
            size = state.batching.batch_size if state.batching else self.config.run.batch_size
            step.memory.report(self.folder.path, self.config, size, self.context.console)

    def _batches(self) -> PlanFactory:
        config, setup, data = self.config, self.setup, self.setup.data
        rows, order = data.rows["train"], data.order
        return PlanFactory(
            setup.step, setup.objective, data.maker, rows, order, config.run, config.memory, config.compute
        )

    def _plan(self, update: Update, state: TrainerState) -> TrainingPlan:
        """Plan the batches as they were found when the run started."""
        batches = self._batches()
        if state.batching is None and self.folder.resume is None:
            state.batching = fit_batch_size(batches, update, self.context.console)
        batching = state.batching or BatchPlan(self.config.run.batch_size)
        if batching.limit:
            slot = BYTES_PER_SLOT * self.setup.step.encoder.config.width
            self.setup.step.slots_at_once = max(1, min(SLOTS_AT_ONCE, batching.limit // slot))
        return batches.plan(batching, state.processes)

    def _check_compiled(self, state: TrainerState) -> None:
        if self.config.compute.compile_model:
            request = self._batches().small_request(state.processes)
            batch = self.setup.data.maker[request]
            verify_compiled(self.setup.step, self.setup.objective, batch, self.context.console)

    def _announce(self) -> None:
        """Log how samples become batches, as far as it may surprise."""
        note, strategy, memory = self.context.console.note, self.context.strategy, self.config.memory
        n_train, batch_size = len(self.setup.data.rows["train"]), self.config.run.batch_size
        if strategy.ranks.size > 1:
            note(f"{strategy.ranks.size} processes ({strategy.name})")
        if batch_size > n_train and not memory.auto_batch_size:
            note(f"--batch-size {batch_size}: all {n_train:,} training samples are one batch")
        target = memory.target_effective_batch_size or 0
        if target > n_train:
            note(f"--target-effective-batch-size {target}: all {n_train:,} training samples are one step")
        if 0 < target < batch_size * strategy.ranks.size and not memory.auto_batch_size:
            note(f"--target-effective-batch-size {target}: micro-batches have no more samples than that")
        if self.validate is None:
            note("no validation samples: there is no early stopping, and the last weights count as best")

    def _peak(self) -> float:
        """Return the peak of all devices together, in operations per second."""
        ranks, precision = self.context.ranks, self.setup.step.precision
        peak = device_peak(self.setup.step.device, precision.name)
        several = f" on each of {ranks.size} devices" if ranks.size > 1 else ""
        self.context.console.note(f"peak: {peak.describe()}{several}")
        return float(ranks.all_gather([peak.flops]).sum())

    def _profile(self, plan: TrainingPlan, state: TrainerState) -> Profile | None:
        if not self.config.compute.profile or not self.context.ranks.is_rank_zero:
            return None
        total = self.config.run.epochs * plan.steps_per_epoch
        return Profile(
            self.folder.path,
            self.setup.step.device,
            self.context.console,
            first=state.step,
            per_epoch=plan.steps_per_epoch,
            total=total,
        )

    def _restore(self, update: Update) -> TrainerState:
        """Return the state to start from, with weights and optimizer put back; a new run starts at step 0."""
        note = self.context.console.note
        checkpoint, checkpoints, strategy = self.folder.resume, self.folder.checkpoints, self.context.strategy
        on_rank_zero, now = strategy.ranks.on_rank_zero, f"{strategy.name}, {strategy.ranks.size}"
        if checkpoint is None:
            if damaged := checkpoints.names():
                note(f"warning: no checkpoint is undamaged ({', '.join(damaged)}), so the run starts anew")
            on_rank_zero(lambda: checkpoints.rewind(None, None))
            return TrainerState(processes=strategy.ranks.size, saved_by=now)
        state = restore(checkpoint, self.setup.step.model, update.optimizer, strategy)
        update.restore(state.scaler)
        later = checkpoints.later_than(checkpoint.name)
        if later and self.config.run.resume_from == "auto":
            note(f"warning: skipping damaged checkpoint {', '.join(later)}; resuming from {checkpoint.name}")
        else:
            note(f"the run continues from {checkpoint.name}")
        if state.saved_by != now:
            size = state.batching.batch_size if state.batching else self.config.run.batch_size
            batch = f"micro-batches stay those of {state.processes * size} samples"
            note(f"not bit-exact: saved on ({state.saved_by}), continued on ({now}); {batch}")
            state.saved_by = now
        best = None if state.best_step is None else checkpoint_name(state.best_step)
        if best is not None and not on_rank_zero(lambda: checkpoints.is_complete(best)):
            note(f"warning: the best checkpoint so far, {best}, is gone")
            state.best_value = state.best_step = None
        on_rank_zero(lambda: checkpoints.rewind(checkpoint.name, state.best_step))
        return state

    def _saver(self, update: Update, steps_per_epoch: int) -> Saver:
        return Saver(
            checkpoints=self.folder.checkpoints,
            strategy=self.context.strategy,
            model=self.setup.step.model,
            update=update,
            current_preprocessor=self.calibrated_preprocessor,
            record=self.record,
            best_metric=self.config.best_metric,
            steps_per_epoch=steps_per_epoch,
        )

    def _reporter(self, total_steps: int, state: TrainerState) -> Reporters:
        if not self.context.ranks.is_rank_zero:
            return Reporters()
        from aam_train.reporting.tensorboard import TensorBoardReporter

        metrics = JsonlReporter(self.folder.path / "metrics.jsonl", state.step, state.judged)
        if metrics.damaged:
            self.context.console.note(metrics.damaged)
        curves = TensorBoardReporter(self.folder.path / "tensorboard", state.step)
        self.context.console.start(total_steps, state.step, self.config.best_metric)
        return Reporters((self.context.console, metrics, curves))
