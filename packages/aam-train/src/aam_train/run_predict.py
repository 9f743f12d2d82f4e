"""`aam predict`: a model and a table -> predictions, through the model's own preprocessor."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aam_data.dataset import cut_report
from aam_data.rarefaction import Rarefier, deep_enough, shallow_report
from aam_models.model_folder import load_model
from aam_models.predictor import Predictor
from aam_train.architecture import dna_alphabet
from aam_train.errors import TrainError
from aam_train.experiment import PredictConfig
from aam_train.inference import run_samples
from aam_train.loading import FIXED_DRAW
from aam_train.predictions import make_predictions, write_full, write_predictions
from aam_train.reporting.console import ConsoleReporter
from aam_train.run_data import build_maker
from aam_train.run_inputs import PredictInputs, read_predict_inputs
from aam_train.runtime import resolve_device
from aam_train.signals import StopFlag
from aam_train.step import Step

CHUNK = 256  # ASVs encoded at once; the memory of prediction is small anyway


def run_predict(config: PredictConfig, inputs: PredictInputs | None = None, *, quiet: bool = False) -> list[Path]:
    """Predict every sample of a table; returns the files written.

    Args:
        config: all settings.
        inputs: what `read_predict_inputs` of the same settings gave; read here by default.
        quiet: print warnings only.

    Raises:
        DataError, ModelError, TrainError: something the user can change; nothing was written.
        RunStopped: after a signal; nothing was written.
    """
    with StopFlag() as stop:
        return _predict(config, inputs or read_predict_inputs(config), stop, ConsoleReporter(quiet=quiet))


def _predict(config: PredictConfig, inputs: PredictInputs, stop: StopFlag, console: ConsoleReporter) -> list[Path]:
    options = config.predict
    device = resolve_device(options.device)
    preprocessor, study = inputs.preprocessor, inputs.study
    model = load_model(inputs.folder)
    if not isinstance(model, Predictor):
        raise TrainError(f"{options.model}: the preprocessor names targets, but the weights are those of an encoder")
    if model.config.encoder.alphabet != dna_alphabet():
        raise TrainError(f"{options.model}: made with another alphabet of bases; train it again with this version")
    if config.metadata.metadata is not None and study.metadata is None:
        console.note("--metadata is not read: predictions of this model depend on the table alone")
    scales = preprocessor.scales_of(study.metadata, study.table.n_samples)
    for note in study.notes:
        console.note(note)
    depth = preprocessor.rarefy_depth
    rows = np.flatnonzero(deep_enough(study.table, depth))
    if text := shallow_report(study.table, depth):
        console.note(text)
    if study.metadata is not None:
        for text in preprocessor.describe_scales(study.metadata, rows):
            console.note(text)
    maker = build_maker(study, Rarefier(study.table, depth, preprocessor.seed), preprocessor, CHUNK)
    if text := cut_report(maker.samples, rows, FIXED_DRAW):
        console.note(text)
    outputs = run_samples(Step(model.to(device), device, stop=stop), maker, rows, options.batch_size).outputs
    assert outputs is not None

    predictions = make_predictions(preprocessor, study.table.sample_ids[rows], outputs, scales[rows])
    depths = study.table.depths()
    shallow = np.setdiff1d(np.arange(study.table.n_samples), rows)
    reasons = {study.table.sample_ids[row]: f"{int(depths[row]):,} reads, fewer than {depth:,}" for row in shallow}
    reasons |= dict.fromkeys(study.dropped_samples, "no reads")
    written = write_predictions(options.output, predictions)
    full = options.output.with_name(f"{options.output.stem}_full{options.output.suffix}")
    write_full(full, predictions, not_predicted=reasons)
    console.note(f"{len(rows):,} samples predicted, {len(reasons):,} not; {', '.join(map(str, [*written, full]))}")
    return [*written, full]
