"""A predictor that is ready for its first step of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aam_data.checks.leaks import leak_notes
from aam_data.checks.spellings import spelling_notes
from aam_data.splits.selection import (
    DEFAULT_MAX_BP,
    Selection,
    default_depth,
    groups_of,
    make_splits,
    select_samples,
    small_parts,
)
from aam_data.splits.splits import Splits
from aam_data.study.study import Study
from aam_models.build import build_predictor
from aam_models.predictor.predictor import Predictor
from aam_train.data.run_data import RunData, build_data
from aam_train.device.device import seed_weights
from aam_train.device.precision import build_precision, prepare_model
from aam_train.evaluation.inference import embed_asvs, number_of_passes
from aam_train.evaluation.interval_calibration import calibration_warnings
from aam_train.losses.build import check_outputs, class_weights_of, target_loss
from aam_train.losses.objective import Objective, TargetTerm
from aam_train.losses.output_layout import OutputLayout
from aam_train.memory.profile import MemoryProfile, build_step, creation_phase
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_terms
from aam_train.options.recipe_configs import TrainConfig
from aam_train.setup.architecture import (
    absent_encoder,
    check_same_size,
    conditioning_config,
    new_encoder_config,
    predictor_config,
    probe_config,
    with_heads,
)
from aam_train.setup.freezing import cache_frozen_embeddings
from aam_train.setup.head_initialization import calibrate_heads, initialize_at_prior
from aam_train.setup.run_context import RunContext
from aam_train.setup.training_setup import TrainingSetup
from aam_train.setup.transfer import (
    PretrainedEncoder,
    load_encoder,
    other_trimming,
    read_pretrained,
    seen_in_pretraining,
)

FINE_TUNE_FROM = 2000  # training samples from which `--adaptation auto` also fine-tunes a pretrained encoder
PROBE_MAX_BP = 512  # most bases that a probe without an encoder reads by default


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """What all splits of a run start from.

    Attributes:
        pretrained: None for an encoder from scratch.
        depth: reads drawn per sample; 0 = all.
    """

    pretrained: PretrainedEncoder | None
    depth: int


def read_pretrained_encoder(config: TrainConfig) -> PretrainedEncoder | None:
    """Read the description of `--pretrained-encoder`, not its weights, and check that other options agree with it."""
    path = config.transfer.pretrained_encoder
    if path is None:
        return None
    pretrained = read_pretrained(path)
    check_same_size(config.model, config.sample.max_bp, pretrained.config, str(path))
    return pretrained


def choose_samples(
    config: TrainConfig, study: Study, pretrained: PretrainedEncoder | None, context: RunContext
) -> tuple[StartingPoint, list[Splits]]:
    """Choose depth and samples, and split the samples: once, or once per fold; log notes and warnings."""
    console = context.console
    for note in study.notes:
        console.note(note)
    if pretrained is not None and (text := other_trimming(pretrained, config.table)):
        console.note(text)
    start, selection, splits = _select_and_split(config, study, pretrained)
    group_column, given = config.split.group_column, config.condition_columns()
    weighted = config.category.weight_column() if config.category.categorical_loss_weights else None
    named = (*given, *([weighted] if weighted else ()))
    spellings = spelling_notes(study.metadata, selection.rows, config.target, config.split, named)
    leaks = (
        note for split in splits for note in leak_notes(study, split, config.target, group_column, start.depth, given)
    )
    for note in [*selection.notes, *spellings, *dict.fromkeys(leaks)]:  # what is true of several folds is logged once
        console.note(note)
    return start, splits


def _select_and_split(
    config: TrainConfig, study: Study, pretrained: PretrainedEncoder | None
) -> tuple[StartingPoint, Selection, list[Splits]]:
    start = StartingPoint(pretrained, rarefy_depth(config, study, pretrained))
    selection = select_samples(study, start.depth, config.target)
    return start, selection, splits_of(config, study, selection.rows)


def rarefy_depth(config: TrainConfig, study: Study, pretrained: PretrainedEncoder | None) -> int:
    """Return the depth: as given; else off with a matrix or fractions; else the encoder's; else 5000."""
    given, fractions = config.sample.rarefy_depth, config.table.relative_abundance
    with_matrix = study.distances is not None
    if given is None and pretrained is not None and not (with_matrix or fractions):
        return pretrained.preprocessor.rarefy_depth
    return default_depth(given, with_matrix=with_matrix, relative_abundance=fractions)


def splits_of(config: TrainConfig, study: Study, rows: np.ndarray) -> list[Splits]:
    """Make one split, or one per fold; with --conformal some training samples are set apart to calibrate intervals."""
    size = config.objective.calibration_size if config.objective.conformal else None
    transfer, seed = config.transfer, config.run.seed
    repeats, by = transfer.repeats, transfer.cv_by
    return make_splits(study, rows, config.split, seed, config.target, transfer.cv, size, repeats=repeats, by=by)


def set_up_predictor(
    config: TrainConfig, study: Study, start: StartingPoint, splits: Splits, context: RunContext, *, is_new: bool
) -> TrainingSetup:
    """Prepare batches and build a predictor that starts at the training mean; log notes and warnings.

    Args:
        is_new: whether the predictor keeps its initial weights; otherwise the caller loads others.
    """
    groups = groups_of(study, config.split)
    data, max_bp = _build_data(config, study, start, splits, groups, context)
    terms = build_terms(config.weights(), Sources(data.pairs, config.phylogeny.pair_metric, config.masking))
    for note in calibration_warnings(data, groups):
        context.console.note(note)
    assert data.maker.collator.targets is not None
    by_class = class_weights_of(config, data, data.maker.collator.targets)
    if by_class:
        weights = ", ".join(f"{name} {weight:.4g}" for name, weight in by_class.items())
        context.console.note(f"class weights: {weights}")
    memory = MemoryProfile(context.device) if config.compute.memory_profile else None
    model = _build_model(config, data, start, max_bp, by_class, memory, context)

    loss = target_loss(config, data, data.maker.collator.targets, by_class, context.device)
    balance = config.head.moe_balance if config.head.moe_experts else 0.0
    objective = Objective(terms, TargetTerm(loss, config.objective.target_weight, balance))
    prepare_model(model, config.compute, context.console)
    step = build_step(
        memory,
        model,
        context.device,
        frozen=_freezes(config, data),
        precision=build_precision(config.compute, context.device),
        stop=context.stop,
        strategy=context.strategy,
    )
    inner_groups = groups_of(study, config.split, config.transfer.cv_by)
    setup = TrainingSetup(splits, groups, data, terms, objective, step, inner_groups)
    _initialize(config, setup, start.pretrained, is_new=is_new)
    return setup


def fine_tunes_probe(config: TrainConfig, data: RunData) -> bool:
    """Return whether a probe is fine-tuned too: its encoder is pretrained, and labels are many."""
    is_possible = config.is_probe and config.transfer.adaptation == "auto" and len(data.rows.get("validation", ())) > 0
    return is_possible and config.transfer.pretrained_encoder is not None and len(data.rows["train"]) >= FINE_TUNE_FROM


def _freezes(config: TrainConfig, data: RunData) -> bool:
    return config.transfer.freeze_base or (config.is_probe and not fine_tunes_probe(config, data))


def _build_data(
    config: TrainConfig,
    study: Study,
    start: StartingPoint,
    splits: Splits,
    groups: Mapping[str, str | None] | None,
    context: RunContext,
) -> tuple[RunData, int]:
    """Build the batches of a split; also return the most bases of a sequence."""
    console, pretrained = context.console, start.pretrained
    for note in [splits.summary(groups), *small_parts(splits, validates=not config.is_probe)]:
        console.note(note)
    if pretrained is not None and (text := seen_in_pretraining(pretrained, splits)):
        console.note(text)
    max_bp = pretrained.config.max_bp if pretrained else config.sample.max_bp or _default_max_bp(config, study)
    data = build_data(config, study, splits, depth=start.depth, max_bp=max_bp, reporter=console)
    passes = config.transfer.val_prediction_passes
    number_of_passes("--val-prediction-passes", passes, passes, data.maker.samples)
    return data, max_bp


def _default_max_bp(config: TrainConfig, study: Study) -> int:
    """Return the bases of a sequence that a model without an encoder reads: for a probe all of them cost little."""
    longest = int(study.sequences.lengths.max(initial=0))
    return min(max(longest, DEFAULT_MAX_BP), PROBE_MAX_BP) if config.is_probe else DEFAULT_MAX_BP


def _build_model(
    config: TrainConfig,
    data: RunData,
    start: StartingPoint,
    max_bp: int,
    by_class: Mapping[str, float],
    memory: MemoryProfile | None,
    context: RunContext,
) -> Predictor:
    """Build a predictor whose head starts at the training mean, with the weights of a pretrained encoder, if any."""
    pretrained, targets = start.pretrained, data.maker.collator.targets
    assert targets is not None
    if config.is_probe:
        encoder = absent_encoder(max_bp) if pretrained is None else with_heads(pretrained.config, {})
    elif pretrained is not None:
        encoder = with_heads(pretrained.config, config.weights(), distance_scale=data.distance_scale)
    else:
        encoder = new_encoder_config(config.model, max_bp, config.weights(), distance_scale=data.distance_scale)
    layout: OutputLayout = check_outputs(config, data, targets)
    inputs, fused = data.preprocessor.inputs, config.category.categories()
    seed_weights(config.run.seed)
    with creation_phase(memory):
        if config.is_probe:
            model = build_predictor(probe_config(encoder, layout, inputs))
        else:
            embedded = {*fused, *config.head.columns()}
            conditioning = conditioning_config(inputs, config.conditioning, fused, embedded)
            columns = inputs.categories.columns
            model = build_predictor(predictor_config(encoder, config.head, layout, config.link, conditioning, columns))
    initialize_at_prior(model, targets[data.rows["train"]], data.preprocessor, tuple(by_class.values()) or None)
    if pretrained is not None:
        context.console.note(load_encoder(model, pretrained, freeze=_freezes(config, data)))
    with creation_phase(memory):
        model.to(context.device)
    n_parameters = sum(p.numel() for p in model.parameters())
    context.console.note(f"predictor with {n_parameters:,} parameters on {context.device}")
    return model


def _initialize(
    config: TrainConfig, setup: TrainingSetup, pretrained: PretrainedEncoder | None, *, is_new: bool
) -> None:
    """Calibrate the heads of new weights and cache what a frozen encoder computes."""
    data, step = setup.data, setup.step
    if is_new:
        keep = pretrained.calibrated(config.phylogeny, data.distance_scale) if pretrained is not None else ()
        calibrate_heads(step, data, setup.terms, config.run.batch_size, keep=keep)
    step.scratch = config.run.output_dir
    if config.transfer.freeze_base:
        cache_frozen_embeddings(step, data, config.run.batch_size)
    elif config.is_probe:  # its features need the embeddings of ASVs, whether draws differ or not
        step.asv_table = embed_asvs(
            step, data.maker, data.study.table.observed_in(np.concatenate(list(data.rows.values())))
        )


def set_up_first_split(config: TrainConfig, study: Study, context: RunContext) -> TrainingSetup:
    """Set up what a new run would start its (first) split with."""
    start, _, splits = _select_and_split(config, study, read_pretrained_encoder(config))
    return set_up_predictor(config, study, start, splits[0], context, is_new=True)


def constant_predictions(data: RunData) -> dict[str, float]:
    """Compute the best constant predictions: training means of the targets, or shares of the classes."""
    targets = data.maker.collator.targets
    assert targets is not None
    labels, known = data.preprocessor.labels, targets[data.rows["train"]]
    if labels is not None:
        codes = known[np.isfinite(known[:, 0]), 0].astype(np.int64)
        shares = np.bincount(codes, minlength=len(labels.names)) / len(codes)
        return dict(zip(labels.names, shares.tolist(), strict=True))
    assert data.study.metadata is not None
    names = [target.spec.name for target in data.preprocessor.targets]
    return {name: float(np.nanmean(data.study.metadata.numeric(name)[data.rows["train"]])) for name in names}
