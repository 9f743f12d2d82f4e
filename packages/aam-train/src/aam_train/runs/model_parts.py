"""The descriptions in a model folder, held against each other before a table is read. Needs no torch.

Every file of a folder may be sound while the files are not of one model: then predictions would be of something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aam_data import alphabet
from aam_data.errors import first_few
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.config.encoder import Alphabet, EncoderConfig
from aam_models.config.predictor import PredictorConfig
from aam_models.errors import ModelError
from aam_models.storage.config_json import CONFIG, read_config
from aam_train.runs.records import PREPROCESSOR, TRAINING, TrainingRecord, read_preprocessor, read_training


@dataclass(frozen=True)
class ModelParts:
    """Configuration, preprocessor and training record of one model."""

    config: EncoderConfig | PredictorConfig
    preprocessor: Preprocessor
    record: TrainingRecord

    @property
    def encoder(self) -> EncoderConfig:
        return self.config.encoder if isinstance(self.config, PredictorConfig) else self.config


def dna_alphabet() -> Alphabet:
    """Return the token codes of this version of aam_data."""
    return Alphabet(
        pad=alphabet.PAD,
        first_base=alphabet.A,
        n_bases=len(alphabet.BASES),
        start=alphabet.START,
        mask=alphabet.MASK,
        size=alphabet.VOCABULARY_SIZE,
    )


def read_parts(folder: Path) -> ModelParts:
    """Read the descriptions of a model folder and check that they are of one model.

    Raises:
        ModelError, DataError: a file is absent or damaged, or contradicts another one.
    """
    parts = ModelParts(read_config(folder), read_preprocessor(folder), read_training(folder))
    if parts.encoder.alphabet != dna_alphabet():
        raise ModelError(f"{folder}: made with another alphabet of bases; train it again with this version")
    for file, says, config_says in _contradictions(parts):
        raise ModelError(
            f"{folder / file}: {says}, but {CONFIG} has {config_says}. The files are not of one model: copy the model "
            "folder again"
        )
    return parts


def _contradictions(parts: ModelParts) -> Iterator[tuple[str, str, str]]:
    """Yield each contradiction: a file, what it says, and what the configuration says."""
    encoder, preprocessor, record = parts.encoder, parts.preprocessor, parts.record
    names = [target.spec.name for target in preprocessor.targets]
    if preprocessor.max_bp > encoder.max_bp:
        yield PREPROCESSOR, f"max_bp {preprocessor.max_bp:,}", f"{encoder.max_bp:,}"
    if preprocessor.taxonomy is not None and preprocessor.taxonomy.widths != encoder.taxonomy_classes:
        yield PREPROCESSOR, f"taxa by rank {preprocessor.taxonomy.widths}", f"{encoder.taxonomy_classes}"
    if record.targets != names:
        yield TRAINING, f"targets {first_few(record.targets) or 'none'}", f"those of {PREPROCESSOR}, {first_few(names)}"
    if isinstance(parts.config, PredictorConfig):
        yield from _contradictions_of_predictor(parts.config, preprocessor)
    elif names:
        yield PREPROCESSOR, f"targets {first_few(names)}", "an encoder, which predicts none"
    known = _names_of_constants(preprocessor)
    if names and record.constant and not known <= record.constant.keys():
        missing = first_few(sorted(known - record.constant.keys()))
        yield TRAINING, f"no constant for {missing}", f"the targets and classes of {PREPROCESSOR}"


def _names_of_constants(preprocessor: Preprocessor) -> set[str]:
    labels = preprocessor.labels
    return set(labels.names) if labels else {target.spec.name for target in preprocessor.targets}


def _contradictions_of_predictor(config: PredictorConfig, preprocessor: Preprocessor) -> Iterator[tuple[str, str, str]]:
    widths, labels = [target.spec.width for target in preprocessor.targets], preprocessor.labels
    if not widths:
        yield PREPROCESSOR, "no targets", f"a predictor of {config.out_width:,} outputs"
    elif labels is not None and config.target_widths:
        yield (
            PREPROCESSOR,
            f"the classes {first_few(labels.names)}",
            f"{len(config.target_widths):,} numbers",
        )
    elif sum(widths) != config.out_width:
        what = f"{len(labels.names):,} classes" if labels is not None else f"targets with {sum(widths):,} outputs"
        yield PREPROCESSOR, what, f"{config.out_width:,} outputs"
    elif labels is None and (config.target_widths or max(widths) > 1) and tuple(widths) != config.target_widths:
        yield PREPROCESSOR, f"targets with {widths} outputs", f"{list(config.target_widths) or 'classes'}"
    inputs, conditioning = preprocessor.inputs, config.conditioning
    sizes, codes = inputs.categories.sizes, tuple(category.size for category in conditioning.categories)
    if len(sizes) != len(codes):
        yield PREPROCESSOR, f"{len(sizes):,} categorical columns", f"{len(codes):,}"
    for column, size, code in zip(inputs.categories.columns, sizes, codes, strict=False):
        if size != code:
            yield PREPROCESSOR, f"{size:,} codes of the column {column}", f"{code:,}"
    if len(inputs.covariates.columns) != conditioning.covariates:
        yield PREPROCESSOR, f"{len(inputs.covariates.columns):,} numeric columns", f"{conditioning.covariates:,}"
    parents = tuple(category.parent for category in conditioning.categories)
    if inputs.categories.columns and tuple(inputs.hierarchy.parents) != parents:
        yield PREPROCESSOR, f"parents of columns {list(inputs.hierarchy.parents)}", f"{list(parents)}"
