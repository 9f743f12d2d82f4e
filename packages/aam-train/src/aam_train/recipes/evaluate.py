"""`aam evaluate`: a model on samples whose truth is known, those it trained on apart from the others."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aam_data.errors import first_few
from aam_data.options.files import PhylogenyOptions
from aam_data.splits.splits import read_splits, splits_file
from aam_data.study.study import Study
from aam_data.unifrac.pair_targets import ScaledTargets
from aam_models.encoder.encoder import Encoder
from aam_models.requested import PREDICTION
from aam_train.data.loading import FIXED_DRAW
from aam_train.data.run_data import build_pairs
from aam_train.device.device import resolve_device
from aam_train.device.precision import Compute, trusted_attention
from aam_train.errors import TrainError
from aam_train.evaluation.encoder_report import METRIC_NAMES
from aam_train.evaluation.inference import number_of_passes, run_passes
from aam_train.evaluation.interval_coverage import coverage_lines, coverages, write_coverage
from aam_train.evaluation.predictions import Predictions, make_predictions, write_full, write_predictions
from aam_train.evaluation.report import NAMES, metrics_of
from aam_train.evaluation.validation import EncoderValidator, mean_outputs
from aam_train.files import write_json
from aam_train.losses.objective import Objective, Weights, masking_for
from aam_train.options.objective import MaskingOptions
from aam_train.options.recipe_configs import EvaluateConfig
from aam_train.recipes.inputs import ModelInputs, read_evaluate_inputs
from aam_train.recipes.loaded_model import ModelUse, use_model
from aam_train.reporting.console import ConsoleReporter
from aam_train.runs.checkpoints import run_folder_of
from aam_train.runs.records import TrainingRecord, read_training
from aam_train.signals import StopFlag

_WORDS = {
    "test": "held out from training",
    "new": "unknown to the model's run",
    "validation": "that chose the model",
    "calibration": "that calibrated its intervals",
    "train": "that the model TRAINED on",
}


def run_evaluate(config: EvaluateConfig, inputs: ModelInputs | None = None, *, quiet: bool = False) -> Path:
    """Judge a model; returns the folder of figures.

    Args:
        config: all settings.
        inputs: what `read_evaluate_inputs` of the same settings gave; read here by default.
        quiet: print warnings only.

    Raises:
        DataError, ModelError, TrainError: something the user can change; nothing was written.
        RunStopped: after a signal; nothing was written.
    """
    console, device = ConsoleReporter(quiet=quiet), resolve_device(config.evaluate.device)
    with StopFlag() as stop, trusted_attention(Compute(device), console):
        return _evaluate(config, inputs or read_evaluate_inputs(config), device, stop, console)


def _evaluate(
    config: EvaluateConfig, inputs: ModelInputs, device: torch.device, stop: StopFlag, console: ConsoleReporter
) -> Path:
    options, folder = config.evaluate, config.evaluate.output_dir
    part_of = known_parts(inputs.folder, options.splits_from)
    if part_of is None:
        console.note("warning: which samples the model trained on is not known (no splits.tsv): see --splits-from")
    used = use_model(inputs, options.model, device, stop, console)
    parts = np.array([(part_of or {}).get(i, "new") for i in inputs.study.table.sample_ids], dtype=object)
    rows = used.rows if options.part == "all" else used.rows[parts[used.rows] == options.part]
    if len(rows) == 0:
        raise TrainError(f"--part {options.part}: none of the table's samples with enough reads is in it")
    record = read_training(inputs.folder)
    used.step.scratch = folder
    if isinstance(used.step.model, Encoder):
        results = _judge_encoder(config, inputs, used, rows, parts, record)
        _write_results(folder, results, console)
        return folder
    usual = record.prediction_passes
    passes = number_of_passes("--prediction-passes", options.prediction_passes, usual, used.maker.samples)
    labels, study = inputs.preprocessor.labels, inputs.study
    scales = inputs.preprocessor.scales_of(study.metadata, study.table.n_samples)
    outputs = mean_outputs(
        run_passes(used.step, used.maker, rows, options.batch_size, PREDICTION, passes), is_classes=labels is not None
    )
    predictions = make_predictions(inputs.preprocessor, study.table.sample_ids[rows], outputs, scales[rows])
    truth = true_values(study, predictions, rows)
    if text := unknown_classes(study, predictions, rows):
        console.note(text)
    results = {"parts": {}}
    for part in [name for name in _WORDS if (parts[rows] == name).any()]:
        chosen = parts[rows] == part
        found = predictions.take(chosen)
        constant = _constant(found, record)
        models = {"aam": found, **({} if constant is None else {"constant": constant})}
        results["parts"][part] = {
            "samples": int(chosen.sum()),
            "targets": {
                name: {model: metrics_of(truth[chosen, t], each, t) for model, each in models.items()}
                for t, name in enumerate(predictions.names)
            },
        }
    _write_results(folder, results, console)
    write_predictions(folder / "predictions.tsv", predictions)
    columns = {"split": parts[rows].tolist()}
    assert study.metadata is not None
    by_column = {name: study.metadata.text(name)[rows] for name in inputs.preprocessor.categorical_columns}
    if covered := coverages(predictions, truth, parts[rows], by_column):
        write_coverage(folder / "coverage.tsv", covered)
        for line in coverage_lines(covered):
            console.note(line)
    write_full(folder / "predictions_full.tsv", predictions, truth=truth, columns=columns, not_predicted=used.skipped)
    _draw(folder, predictions, truth, parts[rows])
    return folder


def known_parts(model: Path, given: Path | None) -> dict[str, str] | None:
    """The part of each sample in the run that made the model, by id; None where its splits are not there."""
    if given is not None:
        return read_splits(splits_file(given)).part_of()
    run = run_folder_of(model)
    return None if run is None or not (run / "splits.tsv").is_file() else read_splits(run / "splits.tsv").part_of()


def true_values(study: Study, predictions: Predictions, rows: np.ndarray) -> np.ndarray:
    """What the metadata say of ``rows`` [R, T]: numbers (NaN = missing), or names of classes that the model knows."""
    assert study.metadata is not None
    if not predictions.classes:
        return np.stack([study.metadata.numeric(name)[rows] for name in predictions.names], axis=1)
    texts = study.metadata.text(predictions.names[0])[rows]
    known = [text if text in predictions.classes else None for text in texts]
    return np.array(known, dtype=object)[:, None]


def unknown_classes(study: Study, predictions: Predictions, rows: np.ndarray) -> str | None:
    """A warning when samples have a class that the model does not know: they are predicted, and not judged."""
    if not predictions.classes:
        return None
    assert study.metadata is not None
    texts = study.metadata.text(predictions.names[0])[rows]
    found = Counter(text for text in texts if text is not None and text not in predictions.classes)
    if not found:
        return None
    shown = first_few([f"{name}: {n:,}" for name, n in sorted(found.items())])
    return f"warning: {found.total():,} samples have classes that the model does not know, and are not judged: {shown}"


def _constant(predictions: Predictions, record: TrainingRecord) -> Predictions | None:
    """What predicting without looking gives, from the model's training samples; None in models of older versions."""
    n, constant = len(predictions.sample_ids), record.constant
    if not constant:
        return None
    if not predictions.classes:
        values = np.tile([constant[name] for name in predictions.names], (n, 1))
        return replace(predictions, values=values, levels=(), quantiles=())
    shares = np.array([constant[name] for name in predictions.classes])
    names = np.array(predictions.classes, dtype=object)[np.full(n, shares.argmax())]
    return replace(predictions, values=names[:, None], probabilities=np.tile(shares, (n, 1)))


def _judge_encoder(
    config: EvaluateConfig,
    inputs: ModelInputs,
    used: ModelUse,
    rows: np.ndarray,
    parts: np.ndarray,
    record: TrainingRecord,
) -> dict[str, Any]:
    """Figures of the objectives that the encoder learned, part by part."""
    encoder, study = used.step.encoder, inputs.study
    options = PhylogenyOptions(unifrac_metric=record.unifrac_metric, unifrac_alpha=record.unifrac_alpha)
    pairs = build_pairs(study, used.rarefier, options)
    if pairs is not None and encoder.config.distance_scale != 1.0:
        pairs = ScaledTargets(pairs, encoder.config.distance_scale)
    weights = Weights(
        unifrac=float(encoder.distance_head is not None and pairs is not None),
        faith_pd=float(encoder.faith_pd_head is not None and study.phylogeny is not None),
        nucleotides=float(encoder.config.nucleotide_head),
        counts=float(encoder.config.count_head),
    )
    objective = Objective(weights, masking_for(weights, MaskingOptions()), pairs)
    results: dict[str, Any] = {"metric": METRIC_NAMES[record.unifrac_metric], "parts": {}}
    for part in _WORDS:
        chosen = rows[parts[rows] == part]
        if len(chosen) < 2:
            continue
        asvs = used.maker.samples.drawn_asvs(chosen, [FIXED_DRAW])
        validate = EncoderValidator(used.maker, objective, chosen, asvs, config.evaluate.batch_size)
        figures = validate(used.step)
        del figures["val_loss"]  # a sum with weights that were not those of training
        constant = validate.errors_of_constants(record.constant, encoder.config.distance_scale)
        models = {"aam": figures, **({"constant": constant} if constant else {})}
        results["parts"][part] = {"samples": len(chosen), "targets": {"encoder": models}}
    return results


def _write_results(folder: Path, results: dict[str, Any], console: ConsoleReporter) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "results.json", results)
    for part, judged in results["parts"].items():
        console.note(f"{judged['samples']:,} samples {_WORDS[part]}:")
        for target, models in judged["targets"].items():
            for model, metrics in models.items():
                figures = ", ".join(f"{name} {value:.3g}" for name, value in metrics.items() if not math.isnan(value))
                console.note(f"  {target}, {NAMES[model]:<9} {figures}")


def _draw(folder: Path, predictions: Predictions, truth: np.ndarray, parts: np.ndarray) -> None:
    """Pictures of the samples that the model did not learn from; of all where it learned from all."""
    from aam_train.evaluation.plots import plot_confusion, plot_scatter

    judged = np.isin(parts, ("test", "new"))
    judged = judged if judged.any() else np.ones(len(parts), dtype=bool)
    for t, name in enumerate(predictions.names):
        if predictions.classes:
            known = judged & np.array([value is not None for value in truth[:, t]])
            plot_confusion(
                folder / "confusion.png", truth[known, t], predictions.values[known, t], predictions.classes, name
            )
        else:
            known = judged & np.isfinite(truth[:, t].astype(np.float64))
            suffix = "" if len(predictions.names) == 1 else f"-{t + 1}"
            pair = truth[known, t], predictions.values[known, t]
            interval = predictions.take(known).interval(t)
            plot_scatter(folder / f"predicted_vs_true{suffix}.png", *pair, "judged samples", name, interval)
