"""`aam rf-baseline`: the random forest that every run reports, on its own. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from aam_data.checks.leaks import leak_notes
from aam_data.checks.spellings import spelling_notes
from aam_data.errors import DataError
from aam_data.options.samples import SampleOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.splits.selection import DEFAULT_MAX_BP, groups_of, make_splits, select_samples, small_parts
from aam_data.splits.splits import PARTS, Splits, read_splits, splits_file
from aam_data.splits.strata import group_codes
from aam_data.study.study import Study, read_study
from aam_data.writers.atomic import check_output
from aam_data.writers.plain_files import sole_writer
from aam_train.baselines.protocol import BaselineData, metadata_names
from aam_train.baselines.random_forest import ForestOptions
from aam_train.baselines.registry import Baselines, compute_baselines
from aam_train.evaluation.comparison import baseline_predictions
from aam_train.evaluation.predictions import (
    Predictions,
    full_table,
    probability_table,
    target_tables,
    true_values,
    write_full,
    write_predictions,
)
from aam_train.evaluation.report import model_lines
from aam_train.evaluation.results import Measured, measure_models
from aam_train.files import write_json, write_table
from aam_train.options.recipe_configs import BaselineConfig
from aam_train.recipes.baseline_settings import BaselineSettings, resolve_settings

_ANY_SHARE = 0.5  # for calibration: without effect on a run's own calibration samples, which it only keeps apart


def random_forest_baseline(config: BaselineConfig, note: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Train a random forest and compare it with a constant.

    It is trained on training and validation samples and evaluated on held-out ones; if there are none, trained on
    training samples and evaluated on validation samples. With ``--splits-from`` a run, it is the run's own forest.

    Args:
        config: all settings.
        note: callback for messages about skipped samples and for the metrics, line by line.

    Returns:
        The files written.

    Raises:
        DataError: something the user can change; nothing was written.

    Example:
        >>> files = TableOptions(Path("table.biom")), MetadataOptions(Path("metadata.tsv"))
        >>> random_forest_baseline(BaselineConfig(*files, BaselineOptions(("age",), Path("forest.tsv"))))
    """
    settings = resolve_settings(config)
    importance_file, metrics_file = _check_outputs(settings.config)
    options = settings.config.baseline
    with sole_writer(options.output, overwrite=options.overwrite):
        return _compare(settings, importance_file, metrics_file, note)


def _compare(
    settings: BaselineSettings, importance_file: Path, metrics_file: Path, note: Callable[[str], None]
) -> list[Path]:
    # 1. read the files, split the samples
    study = read_study(settings.config.table, settings.config.metadata, frame=settings.frame)
    splits, groups = _split(settings, study, note)
    data = _data(settings, study, splits, groups or {})
    # 2. train and evaluate
    options = settings.config.baseline
    forest = ForestOptions(settings.seed, options.n_estimators, options.features_per_split(), options.n_jobs)
    baselines = compute_baselines(data, forest, ("constant", "random_forest", "metadata_forest"))
    if baselines.importance is None:
        raise DataError(
            baselines.left_out["random_forest"], code="option-too-many-trees", remedy="Use fewer trees: --n-estimators"
        )
    predictions = _predictions(study, data, baselines)
    assert study.metadata is not None
    own, tested = predictions["random_forest"], data.rows["test"]
    truth = true_values(study.metadata, own.names, own.classes, tested)
    # 3. write
    of_group = np.array([(groups or {}).get(i) or "" for i in own.sample_ids], dtype=object)
    measured = {
        name: measure_models(predictions, truth, of_group, t, settings.seed) for t, name in enumerate(own.names)
    }
    written = _write_predictions(options.output, own, truth, groups or {})
    _write_importance(importance_file, study, data, baselines.importance)
    counts = {"learned_from": len(data.learned), "judged_on": len(tested), "rarefy_depth": settings.depth}
    write_json(metrics_file, {**_metrics(measured), **counts})
    for line in _lines(measured, len(tested)):
        note(line)
    return [*written, importance_file, metrics_file]


def _write_predictions(
    path: Path, predictions: Predictions, truth: np.ndarray, groups: Mapping[str, str | None]
) -> list[Path]:
    full = full_table(path)
    written = write_predictions(path, predictions)
    columns = {"group": [groups.get(i) or "" for i in predictions.sample_ids]}
    write_full(full, predictions, truth=truth, columns=columns)
    return [*written, full]


def _metrics(measured: Mapping[str, Measured]) -> dict[str, object]:
    """Return the metrics of each baseline by target, and their intervals."""
    return {
        "targets": {name: each.values() for name, each in measured.items()},
        "intervals": {name: each.intervals() for name, each in measured.items()},
    }


def _lines(measured: Mapping[str, Measured], n_samples: int) -> Iterator[str]:
    """Put the metrics into lines."""
    for name, each in measured.items():
        yield f"{name}, {n_samples:,} evaluated samples (95 % intervals in brackets):"
        yield from model_lines(each.values(), each.intervals())


def _write_importance(path: Path, study: Study, data: BaselineData, importance: np.ndarray) -> None:
    """Write the importance of every ASV and of the metadata that the forest reads, the most important first."""
    names = [*study.table.feature_ids, *(metadata_names(data.preprocessor.inputs) if data.inputs is not None else [])]
    order = np.argsort(-importance, kind="stable")
    write_table(path, ["feature", "importance"], ([names[a], f"{importance[a]:.9g}"] for a in order))


def _check_outputs(config: BaselineConfig) -> tuple[Path, Path]:
    """Check that all outputs can be written; return the files of importance and metrics."""
    options = config.baseline
    inputs = {"--table": config.table.table, "--sequences": config.table.sequences}
    inputs |= {"--metadata": config.metadata.metadata}
    importance, metrics = (
        options.output.with_name(f"{options.output.stem}_{name}") for name in ("importance.tsv", "metrics.json")
    )
    n_targets = len(options.metadata_column)
    more = [importance, metrics, full_table(options.output), *target_tables(options.output, n_targets)]
    more += [probability_table(options.output)] if options.classifier else []
    check_output(options.output, inputs, more, overwrite=options.overwrite)
    return importance, metrics


def _split(
    settings: BaselineSettings, study: Study, note: Callable[[str], None]
) -> tuple[Splits, dict[str, str | None] | None]:
    """Choose and split the samples; return the split and the group of each sample."""
    options, target, depth = settings.config.split, settings.target, settings.depth
    selection = select_samples(study, depth, target)
    has_calibration = options.splits_from is not None and read_splits(splits_file(options.splits_from)).calibration
    size = _ANY_SHARE if has_calibration else None
    (splits,) = make_splits(study, selection.rows, options, settings.seed, target, calibration_size=size)
    groups = groups_of(study, options)
    leaks = leak_notes(study, splits, target, options.group_column, depth)
    leaks += spelling_notes(study.metadata, selection.rows, target, options)
    own = [*settings.notes, *settings.other_files(study)]
    for text in [*own, *study.notes, *selection.notes, *leaks, splits.summary(groups), *small_parts(splits)]:
        note(text)
    return splits, groups


def _data(settings: BaselineSettings, study: Study, splits: Splits, groups: Mapping[str, str | None]) -> BaselineData:
    """Return the split as a run has it; where no sample is held out, validation samples are."""
    row_of = {sample_id: row for row, sample_id in enumerate(study.table.sample_ids)}
    rows = {part: np.array([row_of[i] for i in getattr(splits, part)], dtype=np.int64) for part in PARTS}
    if not splits.test:
        rows["test"], rows["validation"] = rows["validation"], rows["test"]
    if not len(rows["test"]):
        raise DataError(
            "no sample is held out, so there is nothing to evaluate",
            code="split-nothing-held-out",
            remedy="Use --test-size above 0",
        )
    preprocessor = settings.preprocessor or Preprocessor.fit(
        study,
        rows["train"],
        SampleOptions(max_bp=DEFAULT_MAX_BP),
        trim_length=settings.config.table.trim_length,
        rarefy_depth=settings.depth,
        seed=settings.seed,
        target=settings.target,
    )
    metadata = study.metadata
    assert metadata is not None
    preprocessor.require_columns(metadata)
    inputs = preprocessor.inputs.apply(metadata) if preprocessor.inputs else None
    targets = preprocessor.targets_of(metadata, unseen="missing")
    codes = group_codes([groups.get(i) for i in study.table.sample_ids])
    rarefier = Rarefier(study.table, settings.depth, settings.seed)
    return BaselineData(preprocessor, rows, rarefier, inputs, targets, codes)


def _predictions(study: Study, data: BaselineData, baselines: Baselines) -> dict[str, Predictions]:
    """Return the predictions of the test samples by baseline, the random forest's first."""
    rows, scales = data.rows["test"], data.preprocessor.scales_of(study.metadata, study.table.n_samples)
    names = sorted(baselines.outputs, key=lambda name: name != "random_forest")
    ids = study.table.sample_ids[rows]
    return {name: baseline_predictions(data.preprocessor, ids, baselines.outputs[name], scales[rows]) for name in names}
