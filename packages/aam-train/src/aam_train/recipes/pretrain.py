"""`aam pretrain`: a table and its tree -> an encoder. Read from top to bottom."""

from __future__ import annotations

from pathlib import Path

from aam_data.checks.leaks import leak_notes
from aam_data.splits.selection import DEFAULT_MAX_BP, default_depth, groups_of, make_splits, select_samples, small_parts
from aam_data.study.study import Study
from aam_data.unifrac.pair_targets import PairTargets
from aam_models.build import build_encoder
from aam_train.data.run_data import build_data
from aam_train.device.device import seed_weights
from aam_train.device.precision import build_compute, compute_settings, prepare_model
from aam_train.evaluation.encoder_report import constants_of, draw_curves, judge, result_lines, validator
from aam_train.files import write_json
from aam_train.losses.objective import Objective, Weights, masking_for, phylogenetic_weights
from aam_train.memory.profile import MemoryProfile, build_step, creating
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.parallel.consistency import check_agreement
from aam_train.parallel.environment import Place
from aam_train.parallel.launch import launch, number_of_processes
from aam_train.parallel.process_group import joined
from aam_train.parallel.ranks import held_by_first
from aam_train.parallel.strategy import Strategy
from aam_train.recipes.inputs import RunInputs, read_run_inputs
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.tensorboard import show_pictures
from aam_train.runs.model_files import input_records
from aam_train.runs.records import TrainingRecord
from aam_train.setup.architecture import new_encoder_config
from aam_train.setup.freezing import freeze_untaught
from aam_train.setup.head_initialization import calibrate_encoder
from aam_train.setup.training_setup import Prepared
from aam_train.signals import StopFlag
from aam_train.training.fit import Fit
from aam_train.versions import versions


def run_pretrain(config: PretrainConfig, inputs: RunInputs | None = None, *, quiet: bool = False) -> Path:
    """Pretrain an encoder; returns the run folder.

    Args:
        config: all settings.
        inputs: what `read_run_inputs` of the same settings gave; read here by default.
        quiet: print warnings only.

    Raises:
        DataError, ModelError, TrainError: something the user can change.
        RunStopped: after a signal.
    """
    inputs = inputs or read_run_inputs(config)
    processes = number_of_processes(config.parallel, config.run.device, quiet=quiet)
    if processes > 1:
        launch(run_process, config, quiet=quiet, processes=processes)
        return config.run.output_dir
    return run_process(config, quiet, None, inputs)


def run_process(
    config: PretrainConfig, quiet: bool, place: Place | None = None, inputs: RunInputs | None = None
) -> Path:
    """The run, or one process of it: ``place`` says which where `--data-parallel` has started it."""
    inputs = inputs or read_run_inputs(config)
    with (
        joined(config.parallel, config.compute, config.run.device, place) as strategy,
        StopFlag(strategy.ranks.highest) as stop,
    ):
        console = ConsoleReporter(quiet=quiet, silent=not strategy.ranks.is_first)
        with compute_settings(config.compute, strategy.device, console):
            return _pretrain(config, inputs, strategy, stop, console)


def _pretrain(
    config: PretrainConfig, inputs: RunInputs, strategy: Strategy, stop: StopFlag, console: ConsoleReporter
) -> Path:
    folder, study, ranks = inputs.folder, inputs.study, strategy.ranks
    check_agreement(ranks, config, input_records(study), [folder.resume])
    ready = prepare_pretrain(config, study, strategy, stop, console, is_new=folder.resume is None)
    splits, data, objective, step = ready.splits, ready.data, ready.objective, ready.step
    record = TrainingRecord(
        command="pretrain",
        inputs=input_records(study),
        targets=[],
        samples={part: len(rows) for part, rows in data.rows.items()},
        versions=versions(),
        unifrac_metric=config.phylogeny.pair_metric,
        unifrac_alpha=config.phylogeny.unifrac_alpha,
        constant=constants_of(data, objective),
    )
    with held_by_first(ranks, folder.open(record.inputs, console)):
        ranks.first(lambda: splits.write(folder.path / "splits.tsv", ready.groups))
        last_step = Fit(
            folder=folder,
            data=data,
            step=step,
            objective=objective,
            validate=validator(data, objective, "validation", config.run.batch_size) if splits.validation else None,
            run=config.run,
            memory=config.memory,
            compute=config.compute,
            optimizer=config.optimizer,
            preprocessor_now=lambda: data.preprocessor,
            best_metric=config.objective.best_metric,
            record=record,
            console=console,
            stop=stop,
        ).execute()

        report = folder.report if ranks.is_first else None
        metric = config.phylogeny.pair_metric
        results = judge(step, data, objective, config.run.batch_size, report, metric, record.constant)
        if report is not None:
            write_json(report / "results.json", results)
            draw_curves(folder.path)
            show_pictures(folder.path, last_step)
        for line in result_lines(results):
            console.note(line)
        return folder.path


def prepare_pretrain(
    config: PretrainConfig,
    study: Study,
    strategy: Strategy,
    stop: StopFlag,
    console: ConsoleReporter,
    *,
    is_new: bool,
) -> Prepared:
    """Samples, splits, batches, a calibrated encoder; what is noteworthy is said.

    Args:
        is_new: whether the weights are those to begin with; otherwise the caller loads others.
    """
    for note in study.notes:
        console.note(note)
    depth = default_depth(
        config.sample.rarefy_depth,
        with_matrix=study.distances is not None,
        relative_abundance=config.table.relative_abundance,
    )
    max_bp = config.sample.max_bp or DEFAULT_MAX_BP
    selection = select_samples(study, depth)
    for note in selection.notes:
        console.note(note)
    (splits,) = make_splits(study, selection.rows, config.split, config.run.seed, None)
    for note in leak_notes(study, splits, None, config.split.group_column, depth):
        console.note(note)
    groups = groups_of(study, config.split)
    for note in [splits.summary(groups), *small_parts(splits)]:
        console.note(note)
    data = build_data(config, study, splits, depth=depth, max_bp=max_bp, reporter=console)

    objective = pretrain_objective(config, data.pairs)
    seed_weights(config.run.seed)
    encoder_config = new_encoder_config(
        config.model,
        max_bp,
        objective.weights,
        taxonomy_classes=data.taxonomy_classes,
        distance_scale=data.distance_scale,
    )
    device = strategy.device
    memory = MemoryProfile(device) if config.compute.memory_profile else None
    with creating(memory):
        encoder = build_encoder(encoder_config).to(device)
    freeze_untaught(encoder, objective.weights)
    console.note(f"encoder with {sum(p.numel() for p in encoder.parameters()):,} parameters on {device}")
    prepare_model(encoder, config.compute, console)
    compute = build_compute(config.compute, device)
    step = build_step(memory, encoder, device, compute=compute, stop=stop, strategy=strategy)
    if is_new:
        calibrate_encoder(step, data, objective, config.run.batch_size)
    return Prepared(splits, groups, data, objective, step)


def pretrain_objective(config: PretrainConfig, pairs: PairTargets | None) -> Objective:
    """What the settings ask to learn, and where its true distances come from."""
    options = config.objective
    weights = Weights(
        **phylogenetic_weights(config.phylogeny.unifrac_metric, options.penalty),
        nucleotides=options.nuc_penalty,
        counts=options.count_penalty,
        taxonomy=config.taxonomy_weight(),
    )
    return Objective(weights, masking_for(weights, config.masking), pairs)
