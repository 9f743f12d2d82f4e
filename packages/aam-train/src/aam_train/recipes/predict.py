"""`aam predict`: a model and a table -> predictions, through the model's own preprocessor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.predictor.predictor import Predictor
from aam_models.requested import Outputs
from aam_train.device.device import resolve_device
from aam_train.device.precision import Compute, trusted_attention
from aam_train.errors import TrainError
from aam_train.evaluation.category_attention import category_attention, check_attends, write_attention
from aam_train.evaluation.inference import SampleOutputs, number_of_passes, run_passes
from aam_train.evaluation.metrics import probabilities
from aam_train.evaluation.predictions import Predictions, full_table, make_predictions, write_full, write_predictions
from aam_train.evaluation.validation import mean_outputs
from aam_train.options.recipe_configs import PredictConfig
from aam_train.recipes.inputs import ModelInputs, read_predict_inputs
from aam_train.recipes.loaded_model import use_model
from aam_train.reporting.console import ConsoleReporter
from aam_train.runs.records import read_preprocessor, read_training
from aam_train.signals import StopFlag


def run_predict(config: PredictConfig, inputs: ModelInputs | None = None, *, quiet: bool = False) -> list[Path]:
    """Predict every sample of a table; returns the files written.

    Args:
        config: all settings.
        inputs: what `read_predict_inputs` of the same settings gave; read here by default.
        quiet: print warnings only.

    Raises:
        DataError, ModelError, TrainError: something the user can change; nothing was written.
        RunStopped: after a signal; nothing was written.
    """
    console, device = ConsoleReporter(quiet=quiet), resolve_device(config.predict.device)
    with StopFlag() as stop, trusted_attention(Compute(device), console):
        return _predict(config, inputs or read_predict_inputs(config), device, stop, console)


def _predict(
    config: PredictConfig, inputs: ModelInputs, device: torch.device, stop: StopFlag, console: ConsoleReporter
) -> list[Path]:
    options = config.predict
    preprocessor, study = inputs.preprocessor, inputs.study
    used = use_model(inputs, options.model, device, stop, console)
    if not isinstance(used.step.model, Predictor):
        raise TrainError(f"{options.model}: the preprocessor names targets, but the weights are those of an encoder")
    if config.metadata.metadata is not None and study.metadata is None:
        console.note("--metadata is not read: predictions of this model depend on the table alone")
    rows, maker = used.rows, used.maker
    scales = preprocessor.scales_of(study.metadata, study.table.n_samples)
    if study.metadata is not None:
        for text in preprocessor.describe_scales(study.metadata, rows):
            console.note(text)
    if (was := read_preprocessor(inputs.folder).asv_sampling) != preprocessor.asv_sampling:
        console.note(f"--asv-sampling {preprocessor.asv_sampling}: the model was trained with {was}")
    usual = read_training(inputs.folder).prediction_passes
    n_passes = number_of_passes("--prediction-passes", options.prediction_passes, usual, maker.samples)
    if options.output_variance and n_passes == 1:
        raise TrainError("--output-variance is over several draws: give --prediction-passes 2 or more")
    if options.category_attention is not None:
        check_attends(used.step, options.model)
    wanted = Outputs(prediction=True, sample_embeddings=options.category_attention is not None)
    used.step.scratch = options.output.parent
    passes = run_passes(used.step, maker, rows, options.batch_size, wanted, n_passes)
    outputs = mean_outputs(passes, is_classes=preprocessor.labels is not None)

    predictions = make_predictions(preprocessor, study.table.sample_ids[rows], outputs, scales[rows])
    columns = {}
    if options.output_variance:
        columns["variance"] = variance_of(passes, predictions, preprocessor, scales[rows])
    written = write_predictions(options.output, predictions)
    full = full_table(options.output)
    write_full(full, predictions, numbers=columns, not_predicted=used.skipped)
    if options.category_attention is not None:
        assert passes[0].embeddings is not None
        names, weights = category_attention(used.step, maker, rows, passes[0].embeddings)
        write_attention(options.category_attention, study.table.sample_ids[rows], names, weights)
        written.append(options.category_attention)
    console.note(f"{len(rows):,} samples predicted, {len(used.skipped):,} not; {', '.join(map(str, [*written, full]))}")
    return [*written, full]


def variance_of(
    passes: Sequence[SampleOutputs], predictions: Predictions, preprocessor: Preprocessor, scales: np.ndarray
) -> np.ndarray:
    """Variance of each prediction over the passes, float64 [R, T], in squared units of the column; of a class that of
    its probability."""
    outputs = [one.outputs for one in passes if one.outputs is not None]
    if preprocessor.labels is None:
        found = np.stack([preprocessor.invert(preprocessor.points(one), scales) for one in outputs])
        return found.var(axis=0)
    assert predictions.probabilities is not None
    likeliest = predictions.probabilities.argmax(axis=1)[:, None]
    shares = np.stack([np.take_along_axis(probabilities(one), likeliest, axis=1) for one in outputs])
    return shares.var(axis=0)
