"""`aam predict`: a model and a table -> predictions, through the model's own preprocessor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from aam_data.dataset import cut_report
from aam_data.output_files import check_output
from aam_data.rarefaction import Rarefier, deep_enough, shallow_report
from aam_data.study import read_study
from aam_models.model_folder import load_model
from aam_models.predictor import Predictor
from aam_train.architecture import dna_alphabet
from aam_train.checkpoint import model_folder
from aam_train.errors import TrainError
from aam_train.experiment import PredictConfig
from aam_train.inference import run_samples
from aam_train.loading import FIXED_DRAW
from aam_train.model_records import read_preprocessor
from aam_train.predictions import make_predictions, write_full, write_predictions
from aam_train.reporting.console import ConsoleReporter
from aam_train.run_data import build_maker
from aam_train.runtime import resolve_device
from aam_train.step import Step

CHUNK = 256  # ASVs encoded at once; the memory of prediction is small anyway


def run_predict(config: PredictConfig, *, quiet: bool = False) -> list[Path]:
    """Predict every sample of a table; returns the files written.

    Raises:
        DataError, ModelError, TrainError: something the user can change; nothing was written.
    """
    options, console = config.predict, ConsoleReporter(quiet=quiet)
    device = resolve_device(options.device)
    files = {"--table": config.table.table, "--sequences": config.table.sequences}
    check_output(options.output, {**files, "--metadata": config.metadata.metadata})
    folder = model_folder(options.model)
    if options.output.parent.resolve() == folder.resolve():
        raise TrainError(f"--output {options.output}: this is the model's own folder. Name a file elsewhere")
    model = load_model(folder)
    if not isinstance(model, Predictor):
        raise TrainError(f"{options.model}: a pretrained encoder predicts nothing yet. Train it first: aam train")
    if model.config.encoder.alphabet != dna_alphabet():
        raise TrainError(f"{options.model}: made with another alphabet of bases; train it again with this version")
    preprocessor = read_preprocessor(folder)
    if config.table.trim_length not in (0, preprocessor.trim_length):
        raise TrainError(f"--trim-length {config.table.trim_length}: the model needs {preprocessor.trim_length}")
    if config.table.relative_abundance and preprocessor.rarefy_depth:
        what = f"the model draws {preprocessor.rarefy_depth:,} reads per sample, and fractions are not reads"
        raise TrainError(f"--relative-abundance: {what}. Give the table of counts")

    needs_metadata = bool(preprocessor.category_columns)
    if config.metadata.metadata is None:
        preprocessor.require_columns(None)
    elif not needs_metadata:
        console.note("--metadata is not read: predictions of this model depend on the table alone")
    table = replace(config.table, trim_length=preprocessor.trim_length)
    study = read_study(table, config.metadata if needs_metadata else None)
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
    outputs = run_samples(Step(model.to(device), device), maker, rows, options.batch_size).outputs
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
