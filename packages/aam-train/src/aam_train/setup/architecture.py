"""From options to model configurations: the one place where aam_data's alphabet reaches a model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from aam_data import alphabet
from aam_data.preprocessing.metadata_inputs import MetadataInputs
from aam_models.config.conditioning import CategoryConfig, ConditioningConfig, ConditioningOptions, FusionConfig
from aam_models.config.encoder import Alphabet, EncoderConfig, ModelOptions, Size
from aam_models.config.head import HeadOptions
from aam_models.config.output_link import LinkConfig, OutputOptions
from aam_models.config.predictor import PredictorConfig
from aam_train.errors import TrainError
from aam_train.losses.objective import Weights
from aam_train.losses.output_layout import TargetShapes

UNCONDITIONED, NO_LINK = ConditioningConfig(), OutputOptions()


def dna_alphabet() -> Alphabet:
    """The token codes of this version of aam_data."""
    return Alphabet(
        pad=alphabet.PAD,
        first_base=alphabet.A,
        n_bases=len(alphabet.BASES),
        start=alphabet.START,
        mask=alphabet.MASK,
        size=alphabet.VOCABULARY_SIZE,
    )


def new_encoder_config(
    options: ModelOptions,
    max_bp: int,
    weights: Weights,
    *,
    taxonomy_classes: tuple[int, ...] = (),
    distance_scale: float = 1.0,
) -> EncoderConfig:
    """An encoder from scratch with the heads that the objective needs."""
    size = options.size()
    config = EncoderConfig(
        alphabet=dna_alphabet(),
        max_bp=max_bp,
        width=size.width,
        heads=size.heads,
        asv_layers=size.layers,
        sample_layers=size.layers,
        count_embedding=options.count_embedding is not False,
        count_embedding_method=options.count_embedding_method or "add",
        size_embedding=weights.faith_pd > 0,  # the objective that cannot do without
        site_sum=True,
    )
    return with_heads(config, weights, taxonomy_classes=taxonomy_classes, distance_scale=distance_scale)


def with_heads(
    config: EncoderConfig, weights: Weights, *, taxonomy_classes: tuple[int, ...] = (), distance_scale: float = 1.0
) -> EncoderConfig:
    """The same encoder with the heads that the objective needs and no others.

    Args:
        taxonomy_classes: number of taxa by rank.
        distance_scale: the largest training distance, for metrics that are not at most 1.
    """
    return replace(
        config,
        distance_head=weights.unifrac > 0,
        faith_pd_head=weights.faith_pd > 0,
        nucleotide_head=weights.nucleotides > 0,
        count_head=weights.counts > 0,
        taxonomy_classes=taxonomy_classes if weights.taxonomy > 0 else (),
        distance_scale=distance_scale,
    )


def check_same_size(options: ModelOptions, max_bp: int | None, pretrained: EncoderConfig, source: str) -> None:
    """Options given beside --pretrained-encoder must say what the encoder is.

    Raises:
        TrainError: naming the options that contradict it, or an alphabet of another version.
    """
    if pretrained.alphabet != dna_alphabet():
        raise TrainError(f"{source}: made with another alphabet of bases; pretrain it again with this version")
    size = Size(pretrained.width, pretrained.heads, pretrained.asv_layers)
    seen = "--count-embedding" if options.count_embedding else "--no-count-embedding"
    fits = {
        f"--preset {options.preset} (it is {size.width} wide, with {size.heads} heads and {size.layers} layers)": (
            options.preset is None or options.size() == size
        ),
        f"--embedding-dim {options.embedding_dim} (it has {size.width})": options.embedding_dim in (None, size.width),
        f"--attention-heads {options.attention_heads} (it has {size.heads})": (
            options.attention_heads in (None, size.heads)
        ),
        f"--attention-layers {options.attention_layers} (it has {size.layers})": (
            options.attention_layers in (None, size.layers)
        ),
        f"{seen} (it was made the other way)": options.count_embedding in (None, pretrained.count_embedding),
        f"--count-embedding-method {options.count_embedding_method} (it has {pretrained.count_embedding_method})": (
            options.count_embedding_method in (None, pretrained.count_embedding_method)
        ),
        f"--max-bp {max_bp} (it has {pretrained.max_bp})": max_bp in (None, pretrained.max_bp),
    }
    wrong = [text for text, is_so in fits.items() if not is_so]
    if wrong:
        raise TrainError(
            f"{source}: --pretrained-encoder is not what was asked for: {'; '.join(wrong)}. Leave them out"
        )


def conditioning_config(
    inputs: MetadataInputs, options: ConditioningOptions, fused: Collection[str], embedded: Collection[str]
) -> ConditioningConfig:
    """How a predictor reads these inputs.

    Args:
        fused: categorical columns that join the sample embedding; heads and links name the others. Covariates do.
        embedded: categorical columns whose vectors are read, by fusion or head; their parents are read too.
    """
    codec, hierarchy = inputs.categories, inputs.hierarchy
    columns = zip(codec.columns, codec.sizes, hierarchy.parents, hierarchy.parent_codes, strict=True)
    read = {place for place, name in enumerate(codec.columns) if name in embedded}
    while above := {hierarchy.parents[place] for place in read if hierarchy.parents[place] >= 0} - read:
        read |= above
    categories = tuple(
        CategoryConfig(size, name in fused, parent, parent_codes, place in read)
        for place, (name, size, parent, parent_codes) in enumerate(columns)
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
    targets: TargetShapes,
    output: OutputOptions = NO_LINK,
    conditioning: ConditioningConfig = UNCONDITIONED,
    columns: Sequence[str] = (),
) -> PredictorConfig:
    """A predictor on this encoder.

    Args:
        targets: what the outputs are.
        columns: names of the categorical columns, in the order of ``conditioning``.
    """
    place = {name: number for number, name in enumerate(columns)}
    has_floor = output.output_activation != "none"
    link = LinkConfig(
        learned_scale=output.learnable_output_scale,
        scaling_columns=tuple(place[name] for name in output.scaling_columns()),
        activation=output.output_activation,
        floors=targets.floors if has_floor else (),
        bounded=output.bounded_targets,
        low=targets.low if output.bounded_targets else (),
        high=targets.high if output.bounded_targets else (),
    )
    return PredictorConfig(
        encoder,
        targets.out_width,
        head.regressor_hidden_dims,
        head.regressor_dropout,
        conditioning,
        residual=head.residual_regression_head,
        film_columns=tuple(place[name] for name in head.film_columns()),
        experts=head.moe_experts or 0,
        routing_column=-1 if head.moe_routing is None else place[head.moe_routing],
        layer_norm=head.target_layer_norm,
        target_widths=targets.widths,
        anchors=targets.anchors,
        link=link,
    )
