"""`aam predict`: a model and a table -> predictions, through the model's own preprocessor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.writers.plain_files import sole_writer
from aam_models.predictor.predictor import Predictor
from aam_models.requested import RequestedOutputs
from aam_train.errors import TrainError
from aam_train.evaluation.category_attention import category_attention, check_has_attention, write_attention
from aam_train.evaluation.inference import SampleOutputs, number_of_passes, run_passes
from aam_train.evaluation.metrics import probabilities
from aam_train.evaluation.predictions import (
    Predictions,
    average_predictions,
    check_finite,
    full_table,
    make_predictions,
    write_full,
    write_predictions,
)
from aam_train.evaluation.validation import mean_outputs
from aam_train.options.recipe_configs import PredictConfig
from aam_train.recipes.inputs import ModelInputs, read_predict_inputs
from aam_train.recipes.launch import run_inference
from aam_train.recipes.loaded_model import LoadedModel, each_model, load_for_inference
from aam_train.reporting.records import Reporter
from aam_train.runs.records import read_preprocessor, read_training
from aam_train.setup.run_context import RunContext


def predict(config: PredictConfig, inputs: ModelInputs | None = None, *, quiet: bool = False) -> list[Path]:
    """Predict every sample of a table.

    Args:
        config: all settings.
        inputs: as returned by `read_predict_inputs` for the same settings; read here by default.
        quiet: print warnings only.

    Returns:
        The files written.

    Raises:
        DataError, ModelError, TrainError: something the user can change; nothing was written.
        RunStopped: after a signal; nothing was written.

    Example:
        >>> options = PredictOptions(Path("runs/age"), Path("predictions.tsv"))
        >>> predict(PredictConfig(TableOptions(Path("table.biom")), options))  # doctest: +SKIP
        [PosixPath('predictions.tsv'), PosixPath('predictions_full.tsv')]
    """
    options, read = config.predict, lambda: inputs or read_predict_inputs(config)
    writer = sole_writer(options.output, overwrite=options.overwrite)
    return run_inference(_predict, config, read, device=options.device, writer=writer, quiet=quiet)


def _predict(config: PredictConfig, inputs: ModelInputs, context: RunContext) -> list[Path]:
    options, study, console = config.predict, inputs.study, context.console
    # 1. model and samples
    loaded = load_for_inference(inputs, context)
    _log_differences(config, inputs, loaded, console)
    rows, loaded.step.scratch = loaded.rows, options.output.parent
    # 2. predict, with each member of an ensemble
    each = [_predict_with(config, *model) for model in each_model(inputs, loaded, context)]
    predictions, passes = average_predictions([one.predictions for one in each]), each[0].passes
    check_finite(predictions.numbers(), predictions.sample_ids, f"{options.model}: predictions")
    # 3. write
    columns = {}
    if options.output_variance:
        variances = [variance_of(one.passes, predictions, one.preprocessor, one.scales) for one in each]
        columns["variance"] = np.mean(variances, axis=0)
    written = write_predictions(options.output, predictions)
    full = full_table(options.output)
    write_full(full, predictions, numbers=columns, not_predicted=loaded.skipped)
    if options.category_attention is not None:
        assert passes[0].embeddings is not None
        names, weights = category_attention(loaded.step, loaded.maker, rows, passes[0].embeddings)
        write_attention(options.category_attention, study.table.sample_ids[rows], names, weights)
        written.append(options.category_attention)
    files = ", ".join(map(str, [*written, full]))
    by = f" by the mean of {len(each):,} models" if len(each) > 1 else ""
    console.note(f"{len(rows):,} samples predicted{by}, {len(loaded.skipped):,} not; {files}")
    return [*written, full]


class _Predicted(NamedTuple):
    """Predictions by one model.

    Attributes:
        predictions: of all samples with enough reads, means over the passes.
        passes: the outputs of each pass; empty for a member of an ensemble whose passes nothing needs any more.
        preprocessor: of the model.
        scales: of the samples, see `Preprocessor.scales_of`.
    """

    predictions: Predictions
    passes: list[SampleOutputs]
    preprocessor: Preprocessor
    scales: np.ndarray


def _predict_with(config: PredictConfig, inputs: ModelInputs, loaded: LoadedModel) -> _Predicted:
    options, preprocessor, study, rows = config.predict, inputs.preprocessor, inputs.study, loaded.rows
    if not isinstance(loaded.step.model, Predictor):
        raise TrainError(f"{inputs.folder}: the preprocessor names targets, but the weights are those of an encoder")
    n_passes = _number_of_passes(config, inputs, loaded)
    scales = preprocessor.scales_of(study.metadata, study.table.n_samples)[rows]
    requested = RequestedOutputs(prediction=True, sample_embeddings=options.category_attention is not None)
    passes = run_passes(loaded.step, loaded.maker, rows, options.batch_size, requested, n_passes)
    outputs = mean_outputs(passes, is_classes=preprocessor.labels is not None)
    predictions = make_predictions(preprocessor, study.table.sample_ids[rows], outputs, scales)
    are_needed = options.output_variance or options.category_attention is not None
    return _Predicted(predictions, passes if are_needed else [], preprocessor, scales)


def _log_differences(config: PredictConfig, inputs: ModelInputs, loaded: LoadedModel, reporter: Reporter) -> None:
    """Log inputs that are ignored and settings that differ from training."""
    preprocessor, metadata = inputs.preprocessor, inputs.study.metadata
    if config.metadata.metadata is not None and metadata is None:
        reporter.note("--metadata is not read: predictions of this model depend on the table alone")
    if metadata is not None:
        for text in preprocessor.describe_scales(metadata, loaded.rows, trained=False):
            reporter.note(text)
    if (was := read_preprocessor(inputs.folder).asv_sampling) != preprocessor.asv_sampling:
        reporter.note(f"--asv-sampling {preprocessor.asv_sampling}: the model was trained with {was}")


def _number_of_passes(config: PredictConfig, inputs: ModelInputs, loaded: LoadedModel) -> int:
    """Return the number of draws to average, checked against the other options."""
    options, usual = config.predict, read_training(inputs.folder).prediction_passes
    passes = number_of_passes("--prediction-passes", options.prediction_passes, usual, loaded.maker.samples)
    if options.output_variance and passes == 1:
        raise TrainError("--output-variance needs several draws: use --prediction-passes 2 or more")
    if options.category_attention is not None:
        check_has_attention(loaded.step, options.model)
    return passes


def variance_of(
    passes: Sequence[SampleOutputs], predictions: Predictions, preprocessor: Preprocessor, scales: np.ndarray
) -> np.ndarray:
    """Compute the variance of each prediction over the passes, float64 [R, T].

    It is in squared units of the column; for classes it is that of the probability of the likeliest class.
    """
    outputs = [one.outputs for one in passes if one.outputs is not None]
    if preprocessor.labels is None:
        values = np.stack([preprocessor.invert(preprocessor.points(one), scales) for one in outputs])
        return values.var(axis=0)
    assert predictions.probabilities is not None
    likeliest = predictions.probabilities.argmax(axis=1)[:, None]
    shares = np.stack([np.take_along_axis(probabilities(one), likeliest, axis=1) for one in outputs])
    return shares.var(axis=0)
