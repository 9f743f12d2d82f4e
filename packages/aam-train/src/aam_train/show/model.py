"""Description of a model, from the small files of its folder; weights are not loaded."""

from __future__ import annotations

from pathlib import Path

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.target import FittedTarget
from aam_data.study.frame.frame import Frame
from aam_models.config.predictor import PredictorConfig
from aam_models.predictor.fusion.registry import fusion_in_words
from aam_models.predictor.heads.registry import head_in_words
from aam_models.storage.typed_json import read_value
from aam_train.files import read_json_object
from aam_train.reporting.numbers import short
from aam_train.runs.checkpoints import model_folder, run_folder_of
from aam_train.runs.ensemble import member_names, read_members
from aam_train.runs.model_parts import read_parts
from aam_train.runs.records import TrainingRecord, read_training

Rows = list[tuple[str, str]]
Metrics = dict[str, float | None]
_MAX_CATEGORIES = 12


def describe_model(path: Path) -> Rows:
    """Return names and values that describe a model, or the best model of a run, in display order.

    Raises:
        ModelError, TrainError: not a folder of AAM, or a damaged one.
    """
    folder = model_folder(path)
    parts = read_parts(folder)
    config, record, preprocessor, encoder = parts.config, parts.record, parts.preprocessor, parts.encoder
    rows = [("model", str(folder)), ("made by", f"aam {record.command}, step {record.step}")]
    if isinstance(config, PredictorConfig):
        rows.append(("predicts", "; ".join(_target(target) for target in preprocessor.targets)))
        rows += _metadata(config, preprocessor)
        rows += describe_head(config, preprocessor, record)
    else:
        rows.append(("predicts", "nothing yet: a pretrained encoder (aam train --pretrained-encoder)"))
    rows += [
        ("encoder", encoder.describe()),
        ("sequences", f"up to {preprocessor.max_bp} bases{_trim(preprocessor.trim_length)}"),
        ("frame", _frame(preprocessor.frame)),
        (
            "reads",
            f"{preprocessor.rarefy_depth:,} drawn per sample"
            if preprocessor.rarefy_depth
            else "all reads of each sample",
        ),
        (
            "ASVs",
            f"up to {preprocessor.max_asvs:,} per sample{_sampling(preprocessor.asv_sampling)}"
            f"{'' if encoder.count_embedding or encoder.is_absent else ', without abundance'}",
        ),
        ("samples", ", ".join(f"{count:,} {part}" for part, count in record.samples.items())),
        ("seed", str(preprocessor.seed)),
    ]
    rows += [("input", f"{entry['path']} (SHA-256 {str(entry['sha256'])[:12]}...)") for entry in record.inputs]
    if "unifrac" in encoder.objectives:
        alpha = f", alpha {record.unifrac_alpha:g}" if record.unifrac_metric == "generalized" else ""
        rows.append(("distances", f"{record.unifrac_metric}{alpha}"))
    if encoder.taxonomy_classes:
        rows.append(("taxonomy", f"{', '.join(map(str, encoder.taxonomy_classes))} taxa by rank"))
    if record.best_value is not None:
        rows.append(("best", f"{record.best_metric} {record.best_value:.4g}"))
    rows += [(f"validation {name}", f"{value:.4g}") for name, value in record.validation.items() if value == value]
    rows += _test_results(folder)
    rows.append(("versions", ", ".join(f"{name} {value}" for name, value in record.versions.items())))
    return rows


def describe_ensemble(path: Path) -> Rows:
    """Describe the members of an ensemble, and what all of them predict.

    Raises:
        ModelError, TrainError: a damaged folder, or models whose predictions cannot be averaged.
    """
    members, names = read_members(path), member_names(path)
    first, rows = members[0].preprocessor, [("ensemble", str(path))]
    rows.append(("prediction", f"mean of {len(members):,} models, with their standard deviation as spread"))
    rows.append(("predicts", "; ".join(_target(target) for target in first.targets)))
    for name, member in zip(names, members, strict=True):
        record = read_training(member.folder)
        best = f", {record.best_metric} {record.best_value:.4g}" if record.best_value is not None else ""
        rows.append((f"model {name}", f"step {record.step}, seed {member.preprocessor.seed}{best}"))
    return rows


def _metadata(config: PredictorConfig, preprocessor: Preprocessor) -> Rows:
    """Describe the metadata that the model reads, their fusion, and the weights of categories in its loss."""
    inputs, rows = preprocessor.inputs, []
    codec, parents = inputs.categories, inputs.hierarchy.parents
    for column, names, counts, parent in zip(codec.columns, codec.names, codec.counts, parents, strict=True):
        shown = ", ".join(f"{name} ({n:,})" for name, n in list(zip(names, counts, strict=True))[:_MAX_CATEGORIES])
        more = f" and {len(names) - _MAX_CATEGORIES:,} more" if len(names) > _MAX_CATEGORIES else ""
        within = f", within {codec.columns[parent]}" if parent >= 0 else ""
        rows.append((f"category {column}", f"{len(names):,} known{within}: {shown}{more}"))
    for column, scale in zip(inputs.covariates.columns, inputs.covariates.scales, strict=True):
        rows.append((f"covariate {column}", f"mean {scale.mean:.4g}, standard deviation {scale.std:.4g}"))
    if config.conditioning.fusion.kind != "none":
        rows.append(("fusion", fusion_in_words(config.conditioning)))
    if inputs:
        rows.append(("needs", f"--metadata with {', '.join(preprocessor.required_columns)} for aam predict"))
    if preprocessor.loss_weights is not None:
        rows.append(("loss weights", preprocessor.loss_weights.describe()))
    return rows


def _test_results(folder: Path) -> Rows:
    """Return the held-out metrics of the run that the model belongs to, if there are any."""
    run = run_folder_of(folder)
    if run is None or not (run / "report" / "results.json").is_file():
        return []
    file = run / "report" / "results.json"
    rows = target_results(file, "test")
    results = read_json_object(file)
    if "aam" in results:
        rows.append(("test", metrics_in_words(read_value(Metrics, results["aam"], f"{file}: aam"))))
    return rows


def target_results(file: Path, what: str) -> Rows:
    """Return the metrics of each target and model in ``results.json``, named after ``what`` they are about.

    The verdict follows, which older files do not have.
    """
    results = read_json_object(file)
    targets = results.get("targets", {})
    sentences = read_value(dict[str, list[str]], results.get("verdict", {}), f"{file}: verdict")
    by_target = read_value(dict[str, dict[str, Metrics]], targets, f"{file}: targets")
    return [
        (f"{what} {target}, {model.replace('_', ' ')}", metrics_in_words(metrics))
        for target, models in by_target.items()
        for model, metrics in models.items()
    ] + [("verdict", sentence) for each in sentences.values() for sentence in each]


def metrics_in_words(metrics: Metrics) -> str:
    """Return metrics as one line, without undefined ones."""
    return ", ".join(f"{name} {short(value)}" for name, value in metrics.items() if value is not None)


def _target(target: FittedTarget) -> str:
    spec, labels = target.spec, target.labels
    if labels:
        return f"{spec.name} (classes {', '.join(labels.names)})"
    by_category = target.by_category
    needs = f", scaled by {', '.join(by_category.columns)}: aam predict needs --metadata" if by_category else ""
    quantiles = f", quantiles {', '.join(f'{q:g}' for q in target.quantiles)}" if target.quantiles else ""
    return f"{spec.name} (number{quantiles}{needs})"


def _trim(length: int) -> str:
    return f", trimmed to {length}" if length else ""


def _frame(frame: Frame | None) -> str:
    if frame is None:
        return "unknown: sequences are taken as they are"
    return f"{frame.describe()}, up to {frame.length:,} bases"


def _sampling(sampling: str) -> str:
    return {"abundance": "", "first": ", the first in the table", "random": ", at random"}[sampling]


def describe_head(config: PredictorConfig, preprocessor: Preprocessor, record: TrainingRecord) -> Rows:
    """Describe the head after the encoder, in the order of computation, and the losses that trained it."""
    columns = preprocessor.inputs.categories.columns
    rows = [("head", head_in_words(config, columns))]
    if link := config.link.describe([target.spec.name for target in preprocessor.targets], columns):
        rows.append(("output", link))
    for target in preprocessor.targets:
        loss = record.losses.get(target.spec.name)
        rows += [(f"loss of {target.spec.name}", loss)] if loss else []
        if target.widening:
            pairs = zip(target.quantiles, reversed(target.quantiles), target.widening, strict=False)
            texts = (f"{low:g} to {high:g} by {amount:.4g}" for low, high, amount in pairs)
            rows.append((f"calibration of {target.spec.name}", f"{', '.join(texts)} at each end, transformed units"))
    if record.class_weights:
        rows.append(("class weights", ", ".join(f"{name} {x:.4g}" for name, x in record.class_weights.items())))
    return rows
