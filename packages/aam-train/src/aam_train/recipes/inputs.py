"""What a command looks at first: its folders and its files. Needs no torch, so mistakes are told at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.study.study import Study, read_study
from aam_data.unifrac.write import check_distance_suffix, extra_files
from aam_data.writers.atomic import check_output
from aam_models.storage.folders import verify_folder
from aam_train.errors import TrainError
from aam_train.evaluation.predictions import full_table, probability_table, target_tables
from aam_train.options.recipe_configs import EmbedConfig, EvaluateConfig, PredictConfig, PretrainConfig, TrainConfig
from aam_train.parallel.environment import check_launcher
from aam_train.runs.checkpoints import model_folder
from aam_train.runs.folder import RunFolder, check_run, check_unused
from aam_train.runs.records import read_preprocessor, read_training


@dataclass(frozen=True, eq=False)
class RunInputs:
    """A run that may begin.

    Attributes:
        folder: where it writes.
        folds: with ``--cv``, the folder of each fold in it.
        study: the files, read and aligned; what was not given was not read.
    """

    folder: RunFolder
    folds: tuple[RunFolder, ...]
    study: Study


def read_run_inputs(config: PretrainConfig | TrainConfig) -> RunInputs:
    """Check the run's folder and read its files; writes nothing.

    Raises:
        TrainError: the folder holds something else, or another run.
        DataError: everything that is wrong with the files.
    """
    check_launcher(config.parallel)
    _check_losses(config)
    folder = check_run(config, config.run)
    n_folds = config.transfer.cv if isinstance(config, TrainConfig) else 0
    folds = tuple(check_run(config, config.run, fold, folder) for fold in range(1, n_folds + 1))
    return RunInputs(folder, folds, _read_files(config))


def read_search_inputs(config: PretrainConfig | TrainConfig) -> Study:
    """The files of a run that a learning rate is searched for; its folder has to be new. Raises as above."""
    if config.run.resume_from is not None:
        raise TrainError("--resume-from is about runs: a search begins with new weights. Leave it out")
    if config.parallel.is_parallel:
        raise TrainError(
            "aam lr-find runs in one process: leave out --distributed, --data-parallel and --fsdp, and give the "
            "--batch-size of all processes together"
        )
    check_unused(config.run.output_dir)
    _check_losses(config)
    return _read_files(config)


def _check_losses(config: PretrainConfig | TrainConfig) -> None:
    """Read the file of --loss-config, if there is one, and hold it against the targets."""
    if isinstance(config, TrainConfig) and not config.target.classifier:
        try:
            config.objective.losses(config.target.metadata_column)
        except ValueError as error:
            raise TrainError(str(error)) from error


def _read_files(config: PretrainConfig | TrainConfig) -> Study:
    taxonomy = config.taxonomy if isinstance(config, PretrainConfig) and config.weights()["taxonomy"] else None
    return read_study(config.table, config.metadata, config.phylogeny, taxonomy)


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """A model that may be used on a table.

    Attributes:
        folder: of the model.
        preprocessor: the model's own.
        study: the files, read and aligned; what is not needed was not read.
    """

    folder: Path
    preprocessor: Preprocessor
    study: Study


def read_predict_inputs(config: PredictConfig) -> ModelInputs:
    """Check where predictions go, look at the model and read the files; weights are not loaded, nothing is written.

    Raises:
        DataError, ModelError, TrainError: something the user can change.
    """
    options = config.predict
    files = _files(config.table, config.metadata)
    check_output(options.output, files, overwrite=options.overwrite)
    folder, preprocessor = _model(options.model, options.output.parent, config.table)
    if options.asv_sampling is not None:
        preprocessor = replace(preprocessor, asv_sampling=options.asv_sampling)
    if not preprocessor.targets:
        raise TrainError(f"{options.model}: a pretrained encoder predicts nothing yet. Train it first: aam train")
    beside = [*target_tables(options.output, len(preprocessor.targets)), full_table(options.output)]
    beside += [probability_table(options.output)] if preprocessor.labels is not None else []
    check_output(options.output, files, beside, overwrite=options.overwrite)
    if (attention := options.category_attention) is not None:
        if attention.resolve() in {path.resolve() for path in (options.output, *beside)}:
            raise TrainError(f"--category-attention {attention}: predictions are written there. Name another file")
        check_output(attention, files, overwrite=options.overwrite)
    if config.metadata.metadata is None:
        preprocessor.require_columns(None)
    table = replace(config.table, trim_length=preprocessor.trim_length)
    needs_metadata = bool(preprocessor.required_columns)
    study = read_study(table, config.metadata if needs_metadata else None)
    preprocessor.require_columns(study.metadata)
    return ModelInputs(folder, preprocessor, study)


def read_embed_inputs(config: EmbedConfig) -> ModelInputs:
    """The same for embeddings, which any model has."""
    options = config.embed
    files = _files(config.table, MetadataOptions())
    check_output(options.output, files, overwrite=options.overwrite)
    if options.distances is not None:
        check_distance_suffix(options.distances)
        distance_files = extra_files(options.distances)
        check_output(options.distances, files, temporary=distance_files, overwrite=options.overwrite)
    folder, preprocessor = _model(options.model, options.output.parent, config.table)
    table = replace(config.table, trim_length=preprocessor.trim_length)
    return ModelInputs(folder, preprocessor, read_study(table))


def read_evaluate_inputs(config: EvaluateConfig) -> ModelInputs:
    """The same for evaluation: the truth is in the metadata, or in the phylogeny."""
    options = config.evaluate
    check_unused(options.output_dir)
    folder, preprocessor = _model(options.model, options.output_dir, config.table)
    if preprocessor.targets and config.metadata.metadata is None:
        raise TrainError(f"{options.model}: its targets are metadata columns. Give the file with --metadata")
    record, asked = read_training(folder), config.phylogeny
    if asked.unifrac_metric not in ("unifrac", record.unifrac_metric):
        raise TrainError(f"--unifrac-metric {asked.unifrac_metric}: the model learned {record.unifrac_metric}")
    phylogeny = replace(asked, unifrac_metric=record.unifrac_metric, unifrac_alpha=record.unifrac_alpha)
    table = replace(config.table, trim_length=preprocessor.trim_length)
    study = read_study(table, config.metadata, phylogeny)
    preprocessor.require_columns(study.metadata)
    return ModelInputs(folder, preprocessor, study)


def _files(table: TableOptions, metadata: MetadataOptions) -> dict[str, Path | None]:
    return {"--table": table.table, "--sequences": table.sequences, "--metadata": metadata.metadata}


def _model(path: Path, output: Path, table: TableOptions) -> tuple[Path, Preprocessor]:
    """The model's folder and preprocessor; refused where the table is to be treated in another way."""
    folder = model_folder(path)
    verify_folder(folder)
    if output.resolve() == folder.resolve():
        raise TrainError(f"{output}: this is the model's own folder. Write to another one")
    preprocessor = read_preprocessor(folder)
    if table.trim_length not in (0, preprocessor.trim_length):
        raise TrainError(f"--trim-length {table.trim_length}: the model needs {preprocessor.trim_length}")
    if table.relative_abundance and preprocessor.rarefy_depth:
        what = f"the model draws {preprocessor.rarefy_depth:,} reads per sample, and fractions are not reads"
        raise TrainError(f"--relative-abundance: {what}. Give the table of counts")
    return folder, preprocessor
