"""`aam predict`: a model and a table -> predictions, through the model's own preprocessor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aam_data.dataset import cut_report
from aam_data.preprocessor import Preprocessor
from aam_data.rarefaction import Rarefier, deep_enough, shallow_report
from aam_models.model_folder import load_model
from aam_models.predictor import Predictor
from aam_train.architecture import dna_alphabet
from aam_train.errors import TrainError
from aam_train.experiment import PredictConfig
from aam_train.inference import SampleOutputs, refuse_equal_passes, run_passes
from aam_train.loading import FIXED_DRAW
from aam_train.model_records import read_preprocessor, read_training
from aam_train.predictions import Predictions, make_predictions, write_full, write_predictions
from aam_train.reporting.console import ConsoleReporter
from aam_train.run_data import build_maker
from aam_train.run_inputs import PredictInputs, read_predict_inputs
from aam_train.runtime import resolve_device
from aam_train.signals import StopFlag
from aam_train.step import Step
from aam_train.validation import mean_outputs, probabilities

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
    if (was := read_preprocessor(inputs.folder).asv_sampling) != preprocessor.asv_sampling:
        console.note(f"--asv-sampling {preprocessor.asv_sampling}: the model was trained with {was}")
    n_passes = options.prediction_passes or read_training(inputs.folder).prediction_passes
    refuse_equal_passes("--prediction-passes", n_passes, maker.samples)
    if options.output_variance and n_passes == 1:
        raise TrainError("--output-variance is over several draws: give --prediction-passes 2 or more")
    step = Step(model.to(device), device, stop=stop)
    passes = run_passes(step, maker, rows, options.batch_size, n_passes)
    outputs = mean_outputs(passes, is_classes=preprocessor.labels is not None)

    predictions = make_predictions(preprocessor, study.table.sample_ids[rows], outputs, scales[rows])
    columns = (
        {"variance": variance_of(passes, predictions, preprocessor, scales[rows])} if options.output_variance else {}
    )
    depths = study.table.depths()
    shallow = np.setdiff1d(np.arange(study.table.n_samples), rows)
    reasons = {study.table.sample_ids[row]: f"{int(depths[row]):,} reads, fewer than {depth:,}" for row in shallow}
    reasons |= dict.fromkeys(study.dropped_samples, "no reads")
    written = write_predictions(options.output, predictions)
    full = options.output.with_name(f"{options.output.stem}_full{options.output.suffix}")
    write_full(full, predictions, numbers=columns, not_predicted=reasons)
    console.note(f"{len(rows):,} samples predicted, {len(reasons):,} not; {', '.join(map(str, [*written, full]))}")
    return [*written, full]


def variance_of(
    passes: Sequence[SampleOutputs], predictions: Predictions, preprocessor: Preprocessor, scales: np.ndarray
) -> np.ndarray:
    """Variance of each prediction over the passes, float64 [R, T], in squared units of the column; of a class that of
    its probability."""
    outputs = [one.outputs for one in passes if one.outputs is not None]
    if preprocessor.labels is None:
        found = np.stack([preprocessor.invert(one, scales) for one in outputs])
        return found.var(axis=0)
    assert predictions.probabilities is not None
    likeliest = predictions.probabilities.argmax(axis=1)[:, None]
    shares = np.stack([np.take_along_axis(probabilities(one), likeliest, axis=1) for one in outputs])
    return shares.var(axis=0)
