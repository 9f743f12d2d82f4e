"""`aam evaluate`: metrics of a model on labelled samples, those it was trained on apart from the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aam_data.errors import DataError
from aam_data.options.files import PhylogenyOptions
from aam_data.splits.splits import read_groups, read_splits, splits_file
from aam_data.study.study import Study
from aam_data.unifrac.pair_targets import ScaledTargets
from aam_data.writers.plain_files import sole_writer
from aam_models.encoder.encoder import Encoder
from aam_models.requested import PREDICTION
from aam_train.data.loading import FIXED_DRAW
from aam_train.data.run_data import build_pairs
from aam_train.errors import TrainError
from aam_train.evaluation.inference import number_of_passes, run_passes
from aam_train.evaluation.interval_coverage import coverage_lines, coverages, write_coverage
from aam_train.evaluation.predictions import (
    Predictions,
    average_predictions,
    check_finite,
    log_targets,
    make_predictions,
    true_values,
    write_full,
    write_predictions,
)
from aam_train.evaluation.report import metrics_in_words
from aam_train.evaluation.results import measure_models, uncertainty
from aam_train.evaluation.validation import mean_outputs
from aam_train.files import write_json
from aam_train.objectives.base import PretrainingObjective, SampleSet, Sources
from aam_train.objectives.registry import OBJECTIVES, build_terms
from aam_train.objectives.unifrac import METRIC_NAMES
from aam_train.objectives.validation import EncoderValidator, errors_of_constants
from aam_train.options.baselines import MODEL_NAMES
from aam_train.options.recipe_configs import EvaluateConfig
from aam_train.recipes.class_names import listed, matching_hint, unknown_classes
from aam_train.recipes.inputs import ModelInputs, read_evaluate_inputs
from aam_train.recipes.launch import run_inference
from aam_train.recipes.loaded_model import LoadedModel, each_model, load_for_inference
from aam_train.reporting.console import ConsoleReporter
from aam_train.runs.checkpoints import run_folder_of
from aam_train.runs.records import TrainingRecord, read_training
from aam_train.setup.run_context import RunContext

_WORDS = {
    "test": "held out from training",
    "new": "not part of the model's run",
    "validation": "used to select the model",
    "calibration": "used to calibrate its intervals",
    "train": "the model was TRAINED on",
}
_BY_USE = ("train", "validation", "calibration", "test")


def evaluate(config: EvaluateConfig, inputs: ModelInputs | None = None, *, quiet: bool = False) -> Path:
    """Evaluate a model on labelled samples, those it was trained on apart from the others.

    Args:
        config: all settings.
        inputs: as returned by `read_evaluate_inputs` for the same settings; read here by default.
        quiet: print warnings only.

    Returns:
        The folder with the metrics.

    Raises:
        DataError, ModelError, TrainError: something the user can change; nothing was written.
        RunStopped: after a signal; nothing was written.

    Example:
        >>> files = TableOptions(Path("table.biom")), EvaluateOptions(Path("runs/age"), Path("evaluation"))
        >>> evaluate(EvaluateConfig(*files, MetadataOptions(Path("metadata.tsv"))))  # doctest: +SKIP
        PosixPath('evaluation')
    """
    options, read = config.evaluate, lambda: inputs or read_evaluate_inputs(config)
    writer = sole_writer(options.output_dir, "--output-dir")
    return run_inference(_evaluate, config, read, device=options.device, writer=writer, quiet=quiet)


def _evaluate(config: EvaluateConfig, inputs: ModelInputs, context: RunContext) -> Path:
    options, folder = config.evaluate, config.evaluate.output_dir
    # 1. model, samples and the part of the model's split that each belongs to
    known = known_samples([inputs.folder, *(member.folder for member in inputs.others)], options.splits_from)
    if known is None:
        context.console.note(
            "warning: which samples the model was trained on is unknown (no splits.tsv): see --splits-from"
        )
    loaded = load_for_inference(inputs, context)
    ids, (part_of, group_of) = inputs.study.table.sample_ids, known or ({}, {})
    parts = np.array([part_of.get(i, "new") for i in ids], dtype=object)
    rows = loaded.rows if options.part == "all" else loaded.rows[parts[loaded.rows] == options.part]
    if len(rows) == 0:
        raise TrainError(f"--part {options.part}: no sample of the table with enough reads is in it")
    if inputs.preprocessor.targets:
        _check_truth(inputs, rows)
    loaded.step.scratch = folder
    samples = _Samples(rows, parts, np.array([group_of.get(i, "") for i in ids], dtype=object))
    # 2. evaluate and write
    record = read_training(inputs.folder)
    if isinstance(loaded.step.model, Encoder):
        results = _evaluate_encoder(config, inputs, loaded, samples, record)
        _write_results(folder, results, context.console)
    else:
        _evaluate_predictor(config, inputs, loaded, samples, record, context)
    return folder


def _check_truth(inputs: ModelInputs, rows: np.ndarray) -> None:
    """Raise DataError if no sample to evaluate has a true value that the model can be compared with."""
    metadata, preprocessor = inputs.study.metadata, inputs.preprocessor
    assert metadata is not None
    names = [target.spec.name for target in preprocessor.targets]
    if preprocessor.labels is None:
        if not any(np.isfinite(metadata.numeric(name)[rows]).any() for name in names):
            problem = f"none of the {len(rows):,} samples to evaluate has a value in {', '.join(names)}"
            raise DataError(
                problem,
                code="target-no-values",
                file=metadata.path,
                remedy="See --na-value and --no-default-na for missing values",
            )
        return
    found = sorted({text for text in metadata.text(names[0])[rows] if text is not None})
    if not set(found) & set(preprocessor.labels.names):
        problem = f"none of the {len(rows):,} samples to evaluate has a class that the model knows"
        classes = f"the file has {listed(found)}, the model {listed(preprocessor.labels.names)}"
        raise DataError(
            f"{problem}: {classes}" if found else problem,
            code="target-classes-unknown",
            file=metadata.path,
            place=f"column {names[0]}",
            remedy=matching_hint(found, preprocessor.labels.names),
        )


class _Samples(NamedTuple):
    """Samples to evaluate on.

    Attributes:
        rows: int64 [R].
        part_of: part of each sample of the table in the run that made the model, "new" where unknown.
        group_of: group of each sample of the table in that run, empty for none.
    """

    rows: np.ndarray
    part_of: np.ndarray
    group_of: np.ndarray

    @property
    def parts(self) -> np.ndarray:
        """Part of each of the rows, [R]."""
        parts: np.ndarray = self.part_of[self.rows]
        return parts


def _evaluate_predictor(
    config: EvaluateConfig,
    inputs: ModelInputs,
    loaded: LoadedModel,
    samples: _Samples,
    record: TrainingRecord,
    context: RunContext,
) -> None:
    """Compare predictions with the metadata, part by part; write metrics, tables and plots."""
    folder, study, rows = config.evaluate.output_dir, inputs.study, samples.rows
    models = each_model(inputs, loaded, context)
    predictions = average_predictions([_predict(config, *model, rows) for model in models])
    check_finite(predictions.numbers(), predictions.sample_ids, f"{config.evaluate.model}: predictions")
    assert study.metadata is not None
    truth = true_values(study.metadata, predictions.names, predictions.classes, rows)
    if text := unknown_classes(study, predictions, rows):
        context.console.note(text)
    assert study.metadata is not None
    new = rows[samples.parts == "new"]
    for text in inputs.preprocessor.describe_scales(study.metadata, new, trained=False) if len(new) else ():
        context.console.note(text)
    seed = inputs.preprocessor.seed
    results = {"parts": _metrics_by_part(predictions, truth, samples, _constant(predictions, record), seed)}
    _write_results(folder, results, context.console)
    write_predictions(folder / "predictions.tsv", predictions)
    by_column = {name: study.metadata.text(name)[rows] for name in inputs.preprocessor.categorical_columns}
    if covered := coverages(predictions, truth, samples.parts, by_column):
        write_coverage(folder / "coverage.tsv", covered)
        for line in coverage_lines(covered):
            context.console.note(line)
    columns = {"split": samples.parts.tolist()}
    write_full(folder / "predictions_full.tsv", predictions, truth=truth, columns=columns, not_predicted=loaded.skipped)
    _draw(folder, predictions, truth, samples.parts, log_targets(inputs.preprocessor))


def _predict(config: EvaluateConfig, inputs: ModelInputs, loaded: LoadedModel, rows: np.ndarray) -> Predictions:
    options, preprocessor, study = config.evaluate, inputs.preprocessor, inputs.study
    usual = read_training(inputs.folder).prediction_passes
    n_passes = number_of_passes("--prediction-passes", options.prediction_passes, usual, loaded.maker.samples)
    scales = preprocessor.scales_of(study.metadata, study.table.n_samples)
    passes = run_passes(loaded.step, loaded.maker, rows, options.batch_size, PREDICTION, n_passes)
    outputs = mean_outputs(passes, is_classes=preprocessor.labels is not None)
    return make_predictions(preprocessor, study.table.sample_ids[rows], outputs, scales[rows])


def _metrics_by_part(
    predictions: Predictions, truth: np.ndarray, samples: _Samples, constant: Predictions | None, seed: int
) -> dict[str, Any]:
    """Compute the metrics of each part that has samples, of the model and of a constant, with their intervals."""
    by_part: dict[str, Any] = {}
    every = {"aam": predictions, **({} if constant is None else {"constant": constant})}
    for part in [name for name in _WORDS if (samples.parts == name).any()]:
        chosen = samples.parts == part
        models = {name: each.take(chosen) for name, each in every.items()}
        groups = samples.group_of[samples.rows][chosen]
        measured = {
            name: measure_models(models, truth[chosen], groups, t, seed) for t, name in enumerate(predictions.names)
        }
        more = uncertainty(measured, is_classes=bool(predictions.classes))
        by_part[part] = {
            "samples": int(chosen.sum()),
            "targets": {name: each.values() for name, each in measured.items()},
            **more,
            "verdict": {name: sentences[:1] for name, sentences in more["verdict"].items()},  # no advice on training
        }
    return by_part


def known_samples(models: Sequence[Path], given: Path | None) -> tuple[dict[str, str], dict[str, str]] | None:
    """Return part and group of each sample of the runs that made the models; None if one of these is unknown.

    What any member of an ensemble was trained on counts as trained on. So no sample of a cross-validation is held out:
    each was used by the models of some folds.
    """
    files = {known_splits(model, given): None for model in models}
    part_of, group_of = dict[str, str](), dict[str, str]()
    for file in files:
        if file is None:
            return None
        for i, part in read_splits(file).part_of().items():
            part_of[i] = min(part, part_of.get(i, part), key=_BY_USE.index)
        group_of |= read_groups(file)
    return part_of, group_of


def known_splits(model: Path, given: Path | None) -> Path | None:
    """Return the file of splits of the run that made the model; None without one."""
    if given is not None:
        return splits_file(given)
    run = run_folder_of(model)
    return None if run is None or not (run / "splits.tsv").is_file() else run / "splits.tsv"


def _constant(predictions: Predictions, record: TrainingRecord) -> Predictions | None:
    """Return constant predictions from the model's training samples; None for models of older versions."""
    n, constant = len(predictions.sample_ids), record.constant
    if not constant:
        return None
    if not predictions.classes:
        values = np.tile([constant[name] for name in predictions.names], (n, 1))
        return replace(predictions, values=values, levels=(), quantiles=(), spread=None)
    shares = np.array([constant[name] for name in predictions.classes])
    names = np.array(predictions.classes, dtype=object)[np.full(n, shares.argmax())]
    return replace(predictions, values=names[:, None], probabilities=np.tile(shares, (n, 1)), spread=None)


def _evaluate_encoder(
    config: EvaluateConfig, inputs: ModelInputs, loaded: LoadedModel, samples: _Samples, record: TrainingRecord
) -> dict[str, Any]:
    """Compute the metrics of the objectives that the encoder learned, part by part."""
    terms = _terms_of(inputs.study, loaded, record)
    results: dict[str, Any] = {"metric": METRIC_NAMES[record.unifrac_metric], "parts": {}}
    for part in _WORDS:
        chosen = samples.rows[samples.parts == part]
        if len(chosen) < 2:
            continue
        asvs = loaded.maker.samples.drawn_asvs(chosen, [FIXED_DRAW])
        validator = EncoderValidator(terms, SampleSet(loaded.maker, chosen, asvs, config.evaluate.batch_size))
        measured = validator.measure(loaded.step)
        metrics = validator.metrics(measured)
        del metrics["val_loss"]  # its weights are not those of training
        constant = errors_of_constants(measured, record.constant)
        models = {"aam": metrics, **({"constant": constant} if constant else {})}
        results["parts"][part] = {"samples": len(chosen), "targets": {"encoder": models}}
    return results


def _terms_of(study: Study, loaded: LoadedModel, record: TrainingRecord) -> tuple[PretrainingObjective, ...]:
    """Build the objectives that the encoder has heads for and the study has true values for."""
    encoder = loaded.step.encoder
    options = PhylogenyOptions(unifrac_metric=record.unifrac_metric, unifrac_alpha=record.unifrac_alpha)
    pairs = build_pairs(study, loaded.rarefier, options)
    if pairs is not None and encoder.config.distance_scale != 1.0:
        pairs = ScaledTargets(pairs, encoder.config.distance_scale)
    sources = Sources(pairs, record.unifrac_metric, has_tree=study.distances is None)
    learned = (name for name in encoder.config.objectives if OBJECTIVES[name].is_evaluable(sources))
    return build_terms(dict.fromkeys(learned, 1.0), sources)


def _write_results(folder: Path, results: dict[str, Any], console: ConsoleReporter) -> None:
    """Write and log the metrics of each part; raise TrainError if there is not one figure."""
    every = (models["aam"] for part in results["parts"].values() for models in part["targets"].values())
    if all(math.isnan(value) for metrics in every for value in metrics.values()):
        raise TrainError(
            "nothing could be evaluated: too few samples, or all of them alike, in every part of the model's run. "
            "Pass more samples, or see --part"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "results.json", results)
    for part, evaluated in results["parts"].items():
        console.note(f"{evaluated['samples']:,} samples {_WORDS[part]}:")
        intervals = evaluated.get("intervals", {})
        for target, models in evaluated["targets"].items():
            for model, metrics in models.items():
                defined = {name: value for name, value in metrics.items() if not math.isnan(value)}
                words = metrics_in_words(defined, intervals.get(target, {}).get(model, {}))
                nothing = "nothing to compare with: no sample has a value that the model knows"
                console.note(f"  {target}, {MODEL_NAMES[model]:<9} {words or nothing}")
        if part in ("test", "new"):
            for sentences in evaluated.get("verdict", {}).values():
                for sentence in sentences:
                    console.note(sentence)


def _draw(
    folder: Path, predictions: Predictions, truth: np.ndarray, parts: np.ndarray, log_targets: frozenset[str]
) -> None:
    """Plot the samples that the model was not trained on; all samples if it was trained on all."""
    from aam_train.evaluation.plots import plot_predictions

    shown = np.isin(parts, ("test", "new"))
    shown = shown if shown.any() else np.ones(len(parts), dtype=bool)
    plot_predictions(folder, predictions.take(shown), truth[shown], "evaluated samples", log_targets=log_targets)
