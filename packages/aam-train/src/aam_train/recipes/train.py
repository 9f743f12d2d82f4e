"""`aam train`: a table, its metadata and perhaps a pretrained encoder -> a predictor. Read from top to bottom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from aam_data.checks.leaks import leak_notes
from aam_data.splits.selection import DEFAULT_MAX_BP, default_depth, groups_of, make_splits, select_samples, small_parts
from aam_data.splits.splits import Splits
from aam_data.study.study import Study
from aam_models.build import build_predictor
from aam_models.requested import PREDICTION
from aam_train.data.run_data import RunData, build_data
from aam_train.device.device import seed_weights
from aam_train.device.precision import build_compute, compute_settings, prepare_model
from aam_train.evaluation.inference import number_of_passes, run_passes
from aam_train.evaluation.interval_calibration import calibrated, few_groups
from aam_train.evaluation.report import Comparison, compare, pool_folds, write_report
from aam_train.evaluation.validation import PredictorValidator, mean_outputs
from aam_train.losses.build import check_outputs, class_weights_of, losses_in_words, target_loss
from aam_train.losses.objective import Objective, Weights, masking_for, phylogenetic_weights
from aam_train.memory.profile import MemoryProfile, build_step, creating
from aam_train.options.recipe_configs import TrainConfig
from aam_train.parallel.consistency import check_agreement
from aam_train.parallel.environment import Place
from aam_train.parallel.launch import launch, number_of_processes
from aam_train.parallel.process_group import joined
from aam_train.parallel.ranks import held_by_first
from aam_train.parallel.strategy import Strategy
from aam_train.recipes.inputs import RunInputs, read_run_inputs
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.tensorboard import show_pictures
from aam_train.runs.checkpoints import BEST
from aam_train.runs.folder import RunFolder
from aam_train.runs.model_files import input_records
from aam_train.runs.records import TrainingRecord, read_preprocessor
from aam_train.setup.architecture import (
    check_same_size,
    conditioning_config,
    new_encoder_config,
    predictor_config,
    with_heads,
)
from aam_train.setup.frozen import fill_caches
from aam_train.setup.head_initialization import calibrate_encoder, start_at_prior
from aam_train.setup.training_setup import Prepared
from aam_train.setup.transfer import (
    PretrainedEncoder,
    load_encoder,
    other_trimming,
    read_pretrained,
    seen_in_pretraining,
)
from aam_train.signals import StopFlag
from aam_train.training.fit import Fit
from aam_train.versions import versions


def run_train(config: TrainConfig, inputs: RunInputs | None = None, *, quiet: bool = False) -> Path:
    """Train a predictor (or one a fold) and report it beside its baselines; returns the run folder.

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


def run_process(config: TrainConfig, quiet: bool, place: Place | None = None, inputs: RunInputs | None = None) -> Path:
    """The run, or one process of it: ``place`` says which where `--data-parallel` has started it."""
    inputs = inputs or read_run_inputs(config)
    with (
        joined(config.parallel, config.compute, config.run.device, place) as strategy,
        StopFlag(strategy.ranks.highest) as stop,
    ):
        console = ConsoleReporter(quiet=quiet, silent=not strategy.ranks.is_first)
        with compute_settings(config.compute, strategy.device, console):
            return _train(config, inputs, strategy, stop, console)


def _train(
    config: TrainConfig, inputs: RunInputs, strategy: Strategy, stop: StopFlag, console: ConsoleReporter
) -> Path:
    folder, folds, study = inputs.folder, inputs.folds, inputs.study
    pretrained = _read_pretrained(config)
    records = input_records(study, pretrained.weights if pretrained else None)
    check_agreement(strategy.ranks, config, records, [folder.resume, *(fold.resume for fold in folds)])

    for note in study.notes:
        console.note(note)
    if pretrained is not None and (text := other_trimming(pretrained, config.table)):
        console.note(text)
    depth = rarefy_depth(config, study, pretrained)
    selection = select_samples(study, depth, config.target)
    for note in selection.notes:
        console.note(note)
    splits = splits_of(config, study, selection.rows)
    group_column = config.split.group_column
    given = config.condition_columns()
    leaks = (note for split in splits for note in leak_notes(study, split, config.target, group_column, depth, given))
    for note in dict.fromkeys(leaks):  # what is true of several folds is said once
        console.note(note)

    if not folds:
        _train_once(config, study, splits[0], depth, pretrained, folder, strategy, stop, console)
        return folder.path
    comparisons = []
    for number, (split, fold) in enumerate(zip(splits, folds, strict=True), 1):
        console.note(f"fold {number} of {len(splits)}")
        comparison = _train_once(config, study, split, depth, pretrained, fold, strategy, stop, console)
        comparisons += [] if comparison is None else [comparison]
    if comparisons:
        write_report(folder.path, pool_folds(comparisons), console)
    return folder.path


def _train_once(
    config: TrainConfig,
    study: Study,
    splits: Splits,
    depth: int,
    pretrained: PretrainedEncoder | None,
    folder: RunFolder,
    strategy: Strategy,
    stop: StopFlag,
    console: ConsoleReporter,
) -> Comparison | None:
    """One split: fit, predict, and on the first process compare."""
    is_new, ranks = folder.resume is None, strategy.ranks
    ready = prepare_train(config, study, splits, depth, pretrained, strategy, stop, console, is_new=is_new)
    data, objective, step, groups = ready.data, ready.objective, ready.step, ready.groups
    targets, passes = data.maker.collator.targets, config.transfer.val_prediction_passes
    assert targets is not None
    record = TrainingRecord(
        command="train",
        inputs=input_records(study, pretrained.weights if pretrained else None, config.objective.loss_file()),
        targets=list(config.target.metadata_column),
        samples={part: len(rows) for part, rows in data.rows.items()},
        versions=versions(),
        unifrac_metric=config.phylogeny.pair_metric,
        unifrac_alpha=config.phylogeny.unifrac_alpha,
        constant=constant_of(data, targets),
        prediction_passes=passes,
        losses=losses_in_words(config),
        class_weights=class_weights_of(config, data, targets),
    )
    with held_by_first(ranks, folder.open(record.inputs, console)):
        ranks.first(lambda: splits.write(folder.path / "splits.tsv", groups))
        validation = data.rows["validation"]
        validate = PredictorValidator(
            data.maker,
            objective,
            data.preprocessor,
            validation,
            data.scales[validation],
            config.run.batch_size,
            passes,
        )
        last_step = Fit(
            folder=folder,
            data=data,
            step=step,
            objective=objective,
            validate=validate if splits.validation else None,
            run=config.run,
            memory=config.memory,
            compute=config.compute,
            optimizer=config.optimizer,
            best_metric=config.transfer.best_metric,
            preprocessor_now=lambda: calibrated(step, data, config.run.batch_size, passes, groups),
            record=record,
            console=console,
            stop=stop,
            categorical_lr=config.category_optimizer.categorical_lr,
        ).execute()

        data = replace(data, preprocessor=read_preprocessor(folder.checkpoints.folder / BEST))
        everything = np.concatenate(list(data.rows.values()))
        outputs_of_passes = run_passes(step, data.maker, everything, config.run.batch_size, PREDICTION, passes)
        outputs = mean_outputs(outputs_of_passes, is_classes=data.preprocessor.labels is not None)
        if not ranks.is_first:
            return None
        comparison = compare(data, everything, outputs, targets, groups, config.run.seed)
        write_report(folder.path, comparison, console)
        show_pictures(folder.path, last_step)
        return comparison


def prepare_first_split(
    config: TrainConfig, study: Study, strategy: Strategy, stop: StopFlag, console: ConsoleReporter
) -> Prepared:
    """What a new run would begin its (first) split with."""
    pretrained = _read_pretrained(config)
    depth = rarefy_depth(config, study, pretrained)
    rows = select_samples(study, depth, config.target).rows
    splits = splits_of(config, study, rows)
    return prepare_train(config, study, splits[0], depth, pretrained, strategy, stop, console, is_new=True)


def prepare_train(
    config: TrainConfig,
    study: Study,
    splits: Splits,
    depth: int,
    pretrained: PretrainedEncoder | None,
    strategy: Strategy,
    stop: StopFlag,
    console: ConsoleReporter,
    *,
    is_new: bool,
) -> Prepared:
    """Batches and a predictor that begins at the training mean; what is noteworthy is said.

    Args:
        is_new: whether the weights are those to begin with; otherwise the caller loads others.
    """
    groups = groups_of(study, config.split)
    for note in [splits.summary(groups), *small_parts(splits)]:
        console.note(note)
    if pretrained is not None and (text := seen_in_pretraining(pretrained, splits)):
        console.note(text)
    max_bp = pretrained.config.max_bp if pretrained else config.sample.max_bp or DEFAULT_MAX_BP
    data = build_data(config, study, splits, depth=depth, max_bp=max_bp, reporter=console)
    targets = data.maker.collator.targets
    assert targets is not None
    passes = config.transfer.val_prediction_passes
    number_of_passes("--val-prediction-passes", passes, passes, data.maker.samples)

    weights = train_weights(config)
    if pretrained is not None:
        encoder = with_heads(pretrained.config, weights, distance_scale=data.distance_scale)
    else:
        encoder = new_encoder_config(config.model, max_bp, weights, distance_scale=data.distance_scale)
    for note in few_groups(data, groups):
        console.note(note)
    shapes = check_outputs(config, data, targets)
    by_class = class_weights_of(config, data, targets)
    if by_class:
        console.note(f"class weights: {', '.join(f'{name} {weight:.4g}' for name, weight in by_class.items())}")
    inputs, fused = data.preprocessor.inputs, config.category.categories()
    conditioning = conditioning_config(inputs, config.conditioning, fused, {*fused, *config.head.columns()})
    seed_weights(config.run.seed)
    device = strategy.device
    memory = MemoryProfile(device) if config.compute.memory_profile else None
    columns = inputs.categories.columns
    with creating(memory):
        model = build_predictor(predictor_config(encoder, config.head, shapes, config.link, conditioning, columns))
    start_at_prior(model, targets[data.rows["train"]], data.preprocessor, tuple(by_class.values()) or None)
    if pretrained is not None:
        console.note(load_encoder(model, pretrained, freeze=config.transfer.freeze_base))
    with creating(memory):
        model.to(device)
    console.note(f"predictor with {sum(p.numel() for p in model.parameters()):,} parameters on {device}")

    masking = masking_for(weights, config.masking)
    objective = Objective(weights, masking, data.pairs, target_loss(config, data, targets, by_class, device))
    prepare_model(model, config.compute, console)
    step = build_step(
        memory,
        model,
        device,
        frozen=config.transfer.freeze_base,
        compute=build_compute(config.compute, device),
        stop=stop,
        strategy=strategy,
    )
    if is_new:
        keep = pretrained.calibrated(config.phylogeny, data.distance_scale) if pretrained is not None else ()
        calibrate_encoder(step, data, objective, config.run.batch_size, keep=keep)
    step.scratch = config.run.output_dir
    if config.transfer.freeze_base:
        fill_caches(step, data, config.run.batch_size)
    return Prepared(splits, groups, data, objective, step)


def splits_of(config: TrainConfig, study: Study, rows: np.ndarray) -> list[Splits]:
    """One split, or one a fold; with --conformal a part of the training samples calibrates."""
    size = config.objective.calibration_size if config.objective.conformal else None
    return make_splits(study, rows, config.split, config.run.seed, config.target, config.transfer.cv, size)


def _read_pretrained(config: TrainConfig) -> PretrainedEncoder | None:
    path = config.transfer.pretrained_encoder
    if path is None:
        return None
    pretrained = read_pretrained(path)
    check_same_size(config.model, config.sample.max_bp, pretrained.config, str(path))
    return pretrained


def rarefy_depth(config: TrainConfig, study: Study, pretrained: PretrainedEncoder | None) -> int:
    """As given; else off with a matrix or fractions; else what the encoder was pretrained with; else 5000."""
    given, fractions = config.sample.rarefy_depth, config.table.relative_abundance
    with_matrix = study.distances is not None
    if given is None and pretrained is not None and not (with_matrix or fractions):
        return pretrained.preprocessor.rarefy_depth
    return default_depth(given, with_matrix=with_matrix, relative_abundance=fractions)


def train_weights(config: TrainConfig) -> Weights:
    """Weights of the terms."""
    options, head = config.objective, config.head
    return Weights(
        **phylogenetic_weights(config.phylogeny.unifrac_metric, config.pair_weight()),
        nucleotides=options.nuc_penalty,
        counts=options.count_weight(),
        target=options.target_penalty,
        balance=head.moe_balance if head.moe_experts else 0.0,
    )


def constant_of(data: RunData, targets: np.ndarray) -> dict[str, float]:
    """What a prediction that does not look at the sample would be: training means, or the classes' shares."""
    labels, known = data.preprocessor.labels, targets[data.rows["train"]]
    if labels is not None:
        codes = known[np.isfinite(known[:, 0]), 0].astype(np.int64)
        shares = np.bincount(codes, minlength=len(labels.names)) / len(codes)
        return dict(zip(labels.names, shares.tolist(), strict=True))
    assert data.study.metadata is not None
    names = [target.spec.name for target in data.preprocessor.targets]
    return {name: float(np.nanmean(data.study.metadata.numeric(name)[data.rows["train"]])) for name in names}
