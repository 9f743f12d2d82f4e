"""`aam train`: a table, its metadata and perhaps a pretrained encoder -> a predictor. Read from top to bottom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.splits.splits import Splits
from aam_models.requested import PREDICTION
from aam_train.evaluation.comparison import Comparison, own_predictions, with_baselines
from aam_train.evaluation.inference import run_passes
from aam_train.evaluation.interval_calibration import calibrate_intervals
from aam_train.evaluation.report import write_report, write_tables
from aam_train.evaluation.results import held_out_results
from aam_train.evaluation.validation import PredictorValidator, mean_outputs
from aam_train.losses.build import class_weights_of, losses_in_words
from aam_train.options.recipe_configs import TrainConfig
from aam_train.parallel.consistency import check_same_on_all_ranks
from aam_train.parallel.ranks import entered_on_rank_zero
from aam_train.recipes.cross_validation import cross_validate, train_members
from aam_train.recipes.inputs import RunInputs
from aam_train.recipes.launch import run_recipe
from aam_train.reporting.tensorboard import log_report_plots
from aam_train.runs.checkpoints import BEST
from aam_train.runs.folder import RunFolder
from aam_train.runs.model_files import input_records
from aam_train.runs.records import TrainingRecord, read_preprocessor
from aam_train.setup.predictor_setup import (
    StartingPoint,
    choose_samples,
    constant_predictions,
    fine_tunes_probe,
    read_pretrained_encoder,
    set_up_predictor,
)
from aam_train.setup.run_context import RunContext
from aam_train.setup.training_setup import TrainingSetup
from aam_train.training.fine_tuned_probe import FineTunedProbeRun, steps_config
from aam_train.training.fit import TrainingRun
from aam_train.training.linear_start import start_at_linear_fit, starts_linear
from aam_train.training.probe import ProbeRun
from aam_train.versions import versions


def train(config: TrainConfig, inputs: RunInputs | None = None, *, quiet: bool = False, verbose: bool = False) -> Path:
    """Train a predictor, or one for each fold or member, and report it with its baselines.

    Args:
        config: all settings.
        inputs: as returned by `read_run_inputs` for the same settings; read here by default.
        quiet: print warnings only.
        verbose: print all metrics and the throughput of every epoch.

    Returns:
        The run folder.

    Raises:
        DataError, ModelError, TrainError: something the user can change.
        RunStopped: after a signal.

    Example:
        >>> config = TrainConfig(
        ...     table=TableOptions(Path("table.biom")),
        ...     metadata=MetadataOptions(Path("metadata.tsv")),
        ...     target=TargetOptions(("age",)),
        ...     run=RunOptions(Path("runs/age")),
        ... )
        >>> train(config)  # doctest: +SKIP
        PosixPath('runs/age')
    """
    return run_recipe(_train, config, inputs, quiet=quiet, verbose=verbose)


def _train(config: TrainConfig, inputs: RunInputs, context: RunContext) -> Path:
    folder, folds = inputs.folder, inputs.folds
    pretrained = read_pretrained_encoder(config)
    records = input_records(inputs.study, pretrained.weights if pretrained else None)
    check_same_on_all_ranks(context.ranks, config, records, [folder.resume, *(fold.resume for fold in folds)])
    if config.transfer.adaptation == "auto":
        because = config.steps_because()
        context.console.note(f"--adaptation auto: {'probe' if because is None else f'fine-tune, because of {because}'}")
    start, splits = choose_samples(config, inputs.study, pretrained, context)
    if not folds:
        _train_split(config, inputs, context, start, splits[0])
        return folder.path

    def train_one(own: TrainConfig, fold: RunFolder, split: Splits) -> Comparison | None:
        return _train_split(own, replace(inputs, folder=fold), context, start, split)

    if config.transfer.ensemble:
        train_members(config, inputs, splits[0], context.console, train_one)
    else:
        cross_validate(config, inputs, splits, context.console, train_one)
    return folder.path


def _train_split(
    config: TrainConfig, inputs: RunInputs, context: RunContext, start: StartingPoint, splits: Splits
) -> Comparison | None:
    """Train on one split and compare with the baselines; the first process alone returns the comparison."""
    folder, ranks = inputs.folder, context.ranks
    # 1. data, model and loss
    setup = set_up_predictor(config, inputs.study, start, splits, context, is_new=folder.resume is None)
    record = _record(config, start, setup)
    with entered_on_rank_zero(ranks, folder.open(record.inputs, context.console)):
        ranks.on_rank_zero(lambda: splits.write(folder.path / "splits.tsv", setup.groups))
        # 2. fit
        last_step = _fit(config, folder, context, setup, record)
        # 3. report
        return _report(config, folder, context, setup, last_step)


def _fit(
    config: TrainConfig, folder: RunFolder, context: RunContext, setup: TrainingSetup, record: TrainingRecord
) -> int:
    """Fit the model, step by step or in closed form; leave its best weights in it and return the last step."""

    def calibrated() -> Preprocessor:
        passes = config.transfer.val_prediction_passes
        return calibrate_intervals(setup.step, setup.data, config.run.batch_size, passes, setup.groups)

    probe = ProbeRun(config, folder, context, setup, record, calibrated)
    is_tuned = fine_tunes_probe(config, setup.data)
    if config.is_probe and not is_tuned:
        return probe.run()
    if not is_tuned and folder.resume is None and starts_linear(config, setup):
        start_at_linear_fit(config, context, setup, record.class_weights)
    validator = _validator(config, setup) if setup.splits.validation else None
    steps = TrainingRun(
        config=steps_config(config) if is_tuned else config,
        folder=folder,
        context=context,
        setup=setup,
        record=record,
        validate=validator,
        validation_plots=None if validator is None else validator.plots,
        calibrated_preprocessor=calibrated,
    )
    return FineTunedProbeRun(probe, steps).run() if is_tuned else steps.run()


def _record(config: TrainConfig, start: StartingPoint, setup: TrainingSetup) -> TrainingRecord:
    data, weights = setup.data, start.pretrained.weights if start.pretrained else None
    assert data.maker.collator.targets is not None
    return TrainingRecord(
        command="train",
        inputs=input_records(data.study, weights, config.objective.loss_file()),
        targets=list(config.target.metadata_column),
        samples={part: len(rows) for part, rows in data.rows.items()},
        versions=versions(),
        unifrac_metric=config.phylogeny.pair_metric,
        unifrac_alpha=config.phylogeny.unifrac_alpha,
        constant=constant_predictions(data),
        prediction_passes=config.transfer.val_prediction_passes,
        losses=losses_in_words(config),
        class_weights=class_weights_of(config, data, data.maker.collator.targets),
    )


def _validator(config: TrainConfig, setup: TrainingSetup) -> PredictorValidator:
    data, rows, target = setup.data, setup.data.rows["validation"], setup.objective.target
    assert target is not None
    return PredictorValidator(
        data.maker,
        target.loss,
        data.preprocessor,
        rows,
        data.scales[rows],
        config.run.batch_size,
        config.transfer.val_prediction_passes,
    )


def _report(
    config: TrainConfig, folder: RunFolder, context: RunContext, setup: TrainingSetup, last_step: int
) -> Comparison | None:
    """Predict all samples with the best weights, on all processes; compare and write on the first."""
    data = replace(setup.data, preprocessor=read_preprocessor(folder.checkpoints.folder / BEST))
    everything = np.concatenate(list(data.rows.values()))
    passes = config.transfer.val_prediction_passes
    outputs_of_passes = run_passes(setup.step, data.maker, everything, config.run.batch_size, PREDICTION, passes)
    outputs = mean_outputs(outputs_of_passes, is_classes=data.preprocessor.labels is not None)
    if not context.ranks.is_rank_zero:
        return None
    comparison = own_predictions(data, everything, outputs, setup.groups)
    write_tables(folder.path, comparison)
    baselines, seed = config.transfer.baselines, config.run.seed
    comparison = with_baselines(comparison, data, setup.inner_groups, baselines, seed, context.console)
    console = None if config.transfer.ensemble else context.console  # of members, the log has the average alone
    write_report(folder.path, comparison, held_out_results(comparison, seed), console)
    log_report_plots(folder.path, last_step)
    return comparison
