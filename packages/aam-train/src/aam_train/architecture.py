"""From options to model configurations: the one place where aam_data's alphabet reaches a model."""

from __future__ import annotations

from dataclasses import replace

from aam_data import alphabet
from aam_models.config import Alphabet, EncoderConfig, HeadOptions, ModelOptions, PredictorConfig
from aam_train.errors import TrainError
from aam_train.objective import Weights


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


def new_encoder_config(options: ModelOptions, max_bp: int, weights: Weights) -> EncoderConfig:
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
    )
    return with_heads(config, weights)


def with_heads(config: EncoderConfig, weights: Weights) -> EncoderConfig:
    """The same encoder with the heads that the objective needs and no others."""
    return replace(
        config,
        distance_head=weights.unifrac > 0,
        faith_pd_head=weights.faith_pd > 0,
        nucleotide_head=weights.nucleotides > 0,
        count_head=weights.counts > 0,
    )


def check_same_size(options: ModelOptions, max_bp: int | None, pretrained: EncoderConfig, source: str) -> None:
    """Options given beside --pretrained-encoder must say what the encoder is.

    Raises:
        TrainError: naming the options that contradict it, or an alphabet of another version.
    """
    if pretrained.alphabet != dna_alphabet():
        raise TrainError(f"{source}: made with another alphabet of bases; pretrain it again with this version")
    given: dict[str, tuple[object, object]] = {
        "--embedding-dim": (options.embedding_dim, pretrained.width),
        "--attention-heads": (options.attention_heads, pretrained.heads),
        "--attention-layers": (options.attention_layers, pretrained.asv_layers),
        "--count-embedding": (options.count_embedding, pretrained.count_embedding),
        "--max-bp": (max_bp, pretrained.max_bp),
    }
    if options.preset is not None:
        size = options.size()
        is_size = (pretrained.width, pretrained.heads, pretrained.asv_layers)
        given["--preset"] = ((size.width, size.heads, size.layers), is_size)
    wrong = [f"{flag} {value} (it has {has})" for flag, (value, has) in given.items() if value not in (None, has)]
    if wrong:
        raise TrainError(
            f"{source}: --pretrained-encoder is not what was asked for: {'; '.join(wrong)}. Leave them out"
        )


def predictor_config(encoder: EncoderConfig, head: HeadOptions, out_width: int) -> PredictorConfig:
    """A predictor on this encoder."""
    return PredictorConfig(encoder, out_width, head.regressor_hidden_dims, head.regressor_dropout)
