"""An encoder that is ready for its first step of pretraining."""

from __future__ import annotations

import torch

from aam_data.checks.leaks import leak_notes
from aam_data.checks.spellings import spelling_notes
from aam_data.splits.selection import DEFAULT_MAX_BP, default_depth, groups_of, make_splits, select_samples, small_parts
from aam_data.splits.splits import Splits
from aam_data.study.study import Study
from aam_models.build import build_encoder
from aam_models.encoder.encoder import Encoder
from aam_train.data.run_data import RunData, build_data
from aam_train.device.device import seed_weights
from aam_train.device.precision import build_precision, prepare_model
from aam_train.losses.objective import Objective
from aam_train.memory.profile import MemoryProfile, build_step, creation_phase
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_terms
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.setup.architecture import new_encoder_config
from aam_train.setup.freezing import freeze_unused_parameters
from aam_train.setup.head_initialization import calibrate_heads
from aam_train.setup.run_context import RunContext
from aam_train.setup.training_setup import TrainingSetup


def set_up_encoder(config: PretrainConfig, study: Study, context: RunContext, *, is_new: bool) -> TrainingSetup:
    """Choose samples, split them, prepare batches and build an encoder with calibrated heads.

    Args:
        is_new: whether the encoder keeps its initial weights; otherwise the caller loads others.
    """
    console = context.console
    for note in study.notes:
        console.note(note)
    depth = default_depth(
        config.sample.rarefy_depth,
        with_matrix=study.distances is not None,
        relative_abundance=config.table.relative_abundance,
    )
    max_bp = config.sample.max_bp or DEFAULT_MAX_BP
    splits = _split(config, study, depth, context)
    groups = groups_of(study, config.split)
    for text in [splits.summary(groups), *small_parts(splits)]:
        console.note(text)
    data = build_data(config, study, splits, depth=depth, max_bp=max_bp, reporter=console)
    terms = build_terms(config.weights(), Sources(data.pairs, config.phylogeny.pair_metric, config.masking))
    objective = Objective(terms)

    memory = MemoryProfile(context.device) if config.compute.memory_profile else None
    with creation_phase(memory):
        encoder = _build(config, data, max_bp, context.device)
    freeze_unused_parameters(encoder, objective.trains)
    console.note(f"encoder with {sum(p.numel() for p in encoder.parameters()):,} parameters on {context.device}")
    prepare_model(encoder, config.compute, console)
    precision = build_precision(config.compute, context.device)
    step = build_step(
        memory, encoder, context.device, precision=precision, stop=context.stop, strategy=context.strategy
    )
    if is_new:
        calibrate_heads(step, data, terms, config.run.batch_size)
    return TrainingSetup(splits, groups, data, terms, objective, step)


def _split(config: PretrainConfig, study: Study, depth: int, context: RunContext) -> Splits:
    selection = select_samples(study, depth)
    for note in (*selection.notes, *spelling_notes(study.metadata, selection.rows, None, config.split)):
        context.console.note(note)
    (splits,) = make_splits(study, selection.rows, config.split, config.run.seed, None)
    for note in leak_notes(study, splits, None, config.split.group_column, depth):
        context.console.note(note)
    return splits


def _build(config: PretrainConfig, data: RunData, max_bp: int, device: torch.device) -> Encoder:
    """Build an encoder with random weights and the heads that the objectives need."""
    encoder_config = new_encoder_config(
        config.model,
        max_bp,
        config.weights(),
        taxonomy_classes=data.taxonomy_classes,
        distance_scale=data.distance_scale,
    )
    seed_weights(config.run.seed)
    return build_encoder(encoder_config).to(device)
