"""Model configurations from options."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from aam_data.preprocessing.metadata_inputs import MetadataInputs
from aam_models.config.conditioning import CategoryConfig, ConditioningConfig, ConditioningOptions, FusionConfig
from aam_models.config.encoder import EncoderConfig, ModelOptions
from aam_models.config.features import FeaturesConfig
from aam_models.config.predictor import LinkConfig, PredictorConfig
from aam_models.config.predictor_options import HeadOptions, OutputOptions
from aam_train.errors import TrainError
from aam_train.losses.output_layout import OutputLayout
from aam_train.objectives.registry import OBJECTIVES
from aam_train.runs.model_parts import dna_alphabet

FUNCTIONS = 256  # per bandwidth; enough for means over the ASVs of a sample, see docs/design.md
STORED_READS = 8192  # commonest training ASVs that fill in missing bases; 1.2 MB for 150 bases
CENTRES = 1024  # commonest training ASVs with which others are compared; with 4,096 predictions are no better
# Bandwidths of similarities, and of kernels from almost the identity of ASVs to clades, in units of the median distance
# between two ASVs of the training samples.
SIMILARITY_BANDWIDTH = 0.12
BANDWIDTHS = (0.1, 0.2, 0.35, 0.5)
UNCONDITIONED, NO_LINK = ConditioningConfig(), OutputOptions()


def new_encoder_config(
    options: ModelOptions,
    max_bp: int,
    weights: Mapping[str, float],
    *,
    taxonomy_classes: tuple[int, ...] = (),
    distance_scale: float = 1.0,
) -> EncoderConfig:
    """Configure a new encoder with the heads that the objectives need."""
    config = EncoderConfig(
        alphabet=dna_alphabet(),
        max_bp=max_bp,
        **options.stored(),
        size_embedding=any(OBJECTIVES[name].needs_sample_size for name, weight in weights.items() if weight),
        site_sum=True,
    )
    return with_heads(config, weights, taxonomy_classes=taxonomy_classes, distance_scale=distance_scale)


def with_heads(
    config: EncoderConfig,
    weights: Mapping[str, float],
    *,
    taxonomy_classes: tuple[int, ...] = (),
    distance_scale: float = 1.0,
) -> EncoderConfig:
    """The same encoder with the heads that the objective needs and no others.

    Args:
        taxonomy_classes: number of taxa by rank.
        distance_scale: the largest training distance, for metrics that are not at most 1.
    """
    learned = tuple(name for name in OBJECTIVES if weights.get(name))
    return replace(
        config,
        objectives=learned,
        taxonomy_classes=taxonomy_classes if "taxonomy" in learned else (),
        distance_scale=distance_scale,
    )


def absent_encoder(max_bp: int) -> EncoderConfig:
    """Configure an encoder that is absent: the predictor reads up to ``max_bp`` bases and counts only."""
    return EncoderConfig(
        alphabet=dna_alphabet(),
        max_bp=max_bp,
        width=0,
        heads=0,
        asv_layers=0,
        sample_layers=0,
        count_embedding=False,
        objectives=(),
        asv_encoder="none",
    )


def probe_config(encoder: EncoderConfig, targets: OutputLayout, inputs: MetadataInputs) -> PredictorConfig:
    """Configure a predictor whose linear head reads wide features of samples, and their metadata, directly."""
    codec, hierarchy = inputs.categories, inputs.hierarchy
    columns = zip(codec.sizes, hierarchy.parents, hierarchy.parent_codes, strict=True)
    categories = tuple(
        CategoryConfig(size, fused=False, parent=parent, parent_codes=parent_codes, embedded=False)
        for size, parent, parent_codes in columns
    )
    covariates = len(inputs.covariates.columns)
    bandwidths = len(BANDWIDTHS)
    return PredictorConfig(
        encoder,
        targets.out_width,
        conditioning=ConditioningConfig(
            categories, covariates, fusion=FusionConfig("head" if categories or covariates else "none")
        ),
        layer_norm=False,
        target_widths=targets.widths,
        anchors=targets.anchors,
        head_kind="linear",
        features=FeaturesConfig(
            FUNCTIONS, bandwidths, 0 if encoder.is_absent else bandwidths, reads=STORED_READS, centres=CENTRES
        ),
    )


def check_same_size(options: ModelOptions, max_bp: int | None, pretrained: EncoderConfig, source: str) -> None:
    """Raise TrainError for options that contradict --pretrained-encoder."""
    conflicts = options.conflicts(pretrained)
    if max_bp not in (None, pretrained.max_bp):
        conflicts.append(f"--max-bp {max_bp} (it has {pretrained.max_bp})")
    if conflicts:
        raise TrainError(
            f"{source}: --pretrained-encoder does not match these options: {'; '.join(conflicts)}. Omit them"
        )


def conditioning_config(
    inputs: MetadataInputs, options: ConditioningOptions, fused: Collection[str], embedded: Collection[str]
) -> ConditioningConfig:
    """Configure how a predictor reads these inputs.

    Args:
        fused: categorical columns that join the sample embedding, like all covariates; heads and links name the others.
        embedded: categorical columns whose vectors fusion or head read; their parents are read too.
    """
    codec, hierarchy = inputs.categories, inputs.hierarchy
    columns = zip(codec.columns, codec.sizes, hierarchy.parents, hierarchy.parent_codes, strict=True)
    read = {index for index, name in enumerate(codec.columns) if name in embedded}
    while above := {hierarchy.parents[index] for index in read if hierarchy.parents[index] >= 0} - read:
        read |= above
    categories = tuple(
        CategoryConfig(size, name in fused, parent, parent_codes, index in read)
        for index, (name, size, parent, parent_codes) in enumerate(columns)
    )
    covariates = len(inputs.covariates.columns)
    fuses = covariates > 0 or any(category.fused for category in categories)
    fusion = FusionConfig(
        options.categorical_fusion if fuses else "none",
        options.cross_attn_heads,
        options.perceiver_num_latents,
        options.perceiver_num_layers,
    )
    return ConditioningConfig(categories, covariates, options.categorical_embed_dim, fusion)


def predictor_config(
    encoder: EncoderConfig,
    head: HeadOptions,
    targets: OutputLayout,
    output: OutputOptions = NO_LINK,
    conditioning: ConditioningConfig = UNCONDITIONED,
    columns: Sequence[str] = (),
) -> PredictorConfig:
    """Configure a predictor on this encoder.

    Args:
        targets: layout of the outputs.
        columns: names of the categorical columns, in the order of ``conditioning``.
    """
    index = {name: number for number, name in enumerate(columns)}
    has_floor = output.output_activation != "none"
    link = LinkConfig(
        learned_scale=output.learnable_output_scale,
        scaling_columns=tuple(index[name] for name in output.scaling_columns()),
        activation=output.output_activation,
        floors=targets.floors if has_floor else (),
        bounded=output.bounded_targets,
        low=targets.low if output.bounded_targets else (),
        high=targets.high if output.bounded_targets else (),
    )
    return PredictorConfig(
        encoder,
        targets.out_width,
        conditioning=conditioning,
        **head.stored(index),
        target_widths=targets.widths,
        anchors=targets.anchors,
        link=link,
    )
