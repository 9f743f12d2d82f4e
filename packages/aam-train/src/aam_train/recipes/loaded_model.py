"""A trained model and a table, for predict, embed and evaluate: weights, batches, samples with enough reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from aam_data.preprocessing.dataset import cut_report
from aam_data.preprocessing.rarefaction import FIXED_DRAW, Rarefier, deep_enough, shallow_report
from aam_models.predictor.predictor import Predictor
from aam_models.storage.model_folder import load_model
from aam_train.data.loading import BatchMaker
from aam_train.data.run_data import build_maker, input_notes
from aam_train.engine.step import Step
from aam_train.errors import TrainError
from aam_train.recipes.inputs import ModelInputs
from aam_train.reporting.console import WARNING, ConsoleReporter
from aam_train.setup.run_context import RunContext

CHUNK_SIZE = 256  # ASVs encoded at once; prediction needs little memory anyway


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model and a table, ready to run.

    Attributes:
        rows: int64 samples with enough reads.
        skipped: reason for each other sample, by id.
        notes: what was logged.
    """

    step: Step
    maker: BatchMaker
    rarefier: Rarefier
    rows: np.ndarray
    skipped: dict[str, str]
    notes: tuple[str, ...] = ()


def load_for_inference(inputs: ModelInputs, context: RunContext) -> LoadedModel:
    """Load the weights and prepare the table with the model's preprocessor; log what is cut or skipped.

    Raises:
        ModelError: its weights are not those of its configuration.
    """
    preprocessor, study = inputs.preprocessor, inputs.study
    model = load_model(inputs.folder)
    # without the metadata that a predictor reads (aam embed), only its encoder and its features can run
    if isinstance(model, Predictor) and model.features is None and preprocessor.inputs and study.metadata is None:
        model = model.encoder
    step = Step(model.to(context.device), context.device, stop=context.stop)
    depth = preprocessor.rarefy_depth
    file = study.inputs[0].path if study.inputs else None
    rows = np.flatnonzero(deep_enough(study.table, depth, file, of_model=True))
    rarefier = Rarefier(study.table, depth, preprocessor.seed)
    maker = build_maker(study, rarefier, preprocessor, CHUNK_SIZE)
    reports = shallow_report(study.table, depth, of_model=True), cut_report(maker.samples, rows, FIXED_DRAW)
    notes = (*study.notes, *(text for text in reports if text), *input_notes(maker, rows, preprocessor))
    for note in notes:
        context.console.note(note)
    depths = study.table.depths()
    shallow = np.setdiff1d(np.arange(study.table.n_samples), rows)
    skipped = {study.table.sample_ids[row]: f"{int(depths[row]):,} reads, fewer than {depth:,}" for row in shallow}
    skipped |= dict.fromkeys(study.dropped_samples, "no reads")
    return LoadedModel(step, maker, rarefier, rows, skipped, notes)


def each_model(
    inputs: ModelInputs, first: LoadedModel, context: RunContext
) -> Iterator[tuple[ModelInputs, LoadedModel]]:
    """Yield a loaded model and its inputs, then the other members of an ensemble, which are loaded one at a time.

    Of the others, warnings that are new are logged, such as of categories that one of them does not know.

    Raises:
        TrainError: the members cannot predict the same samples, because their frames cut the reads of some.
    """
    yield inputs, first
    silent, logged = replace(context, console=ConsoleReporter(silent=True)), set(first.notes)
    ids = inputs.study.table.sample_ids
    for other in inputs.other_inputs():
        loaded = load_for_inference(other, silent)
        if not np.array_equal(other.study.table.sample_ids, ids) or not np.array_equal(loaded.rows, first.rows):
            raise TrainError(
                f"{other.folder}: too few reads of some samples lie in the frame of this member of the ensemble, "
                f"unlike in that of {inputs.folder}. Use one of them as --model, or --frame ignore"
            )
        for note in (note for note in loaded.notes if note.startswith(WARNING) and note not in logged):
            context.console.note(note)
        logged |= set(loaded.notes)
        loaded.step.scratch = first.step.scratch
        yield other, loaded
