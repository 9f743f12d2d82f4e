"""Validation of paths and reading of files, before torch is imported, so that mistakes surface immediately."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from aam_data.corpus.read import read_corpus
from aam_data.errors import DataError, Problems
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.frame import FrameOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.study.frame.frame import Frame
from aam_data.study.study import Study, read_study
from aam_data.unifrac.write import check_distance_suffix, extra_files
from aam_data.writers.atomic import check_output
from aam_models.storage.folders import verify_folder
from aam_train.errors import TrainError
from aam_train.evaluation.predictions import full_table, probability_table, target_tables
from aam_train.options.recipe_configs import EmbedConfig, EvaluateConfig, PredictConfig, PretrainConfig, TrainConfig
from aam_train.options.run import TransferOptions
from aam_train.parallel.environment import check_launcher
from aam_train.runs.checkpoints import model_folder
from aam_train.runs.ensemble import Member, is_ensemble, member_folders, member_names, read_members
from aam_train.runs.folder import RunFolder, check_run, check_unused
from aam_train.runs.model_parts import read_parts
from aam_train.runs.records import read_training


@dataclass(frozen=True, eq=False)
class RunInputs:
    """Inputs of a run that may start.

    Attributes:
        folder: the run folder.
        folds: the folder of each run in it: of the folds of ``--cv`` or ``--cv-by`` (of the latter, at least as many as
            there are folds), or of the members of ``--ensemble``.
        study: the files, read and aligned.
    """

    folder: RunFolder
    folds: tuple[RunFolder, ...]
    study: Study


def read_run_inputs(config: PretrainConfig | TrainConfig) -> RunInputs:
    """Check the run's folder and read its files; write nothing.

    Raises:
        TrainError: the folder contains something else, or another run.
        DataError: all problems of the files.
    """
    check_launcher(config.parallel)
    _check_losses(config)
    folder = check_run(config, config.run)
    named = fold_names(config.transfer) if isinstance(config, TrainConfig) else []
    folds = [check_run(config, config.run, name, folder) for name in named]
    study = _read_files(config)
    if isinstance(config, TrainConfig) and config.transfer.cv_by is not None:
        assert study.metadata is not None
        values = {value for value in study.metadata.text(config.transfer.cv_by) if value is not None}
        folds = [check_run(config, config.run, f"fold-{number}", folder) for number in range(1, len(values) + 1)]
    return RunInputs(folder, tuple(folds), study)


def fold_names(transfer: TransferOptions) -> list[str]:
    """Return the names of the runs within a run: folds of ``--cv``, repeat by repeat, or members of ``--ensemble``."""
    if transfer.ensemble:
        return [f"member-{member}" for member in range(1, transfer.ensemble + 1)]
    folds = [f"fold-{fold}" for fold in range(1, transfer.cv + 1)]
    if transfer.repeats == 1:
        return folds
    return [f"repeat-{repeat}/{fold}" for repeat in range(1, transfer.repeats + 1) for fold in folds]


def read_search_inputs(config: PretrainConfig | TrainConfig) -> Study:
    """Read the files of a run to find a learning rate for, whose folder must be new; see `read_run_inputs`."""
    if config.run.resume_from is not None:
        raise TrainError("--resume-from only applies to runs: a search starts with new weights. Omit it")
    if config.parallel.is_parallel:
        raise TrainError(
            "aam lr-find runs in one process. Omit --distributed, --data-parallel and --fsdp, and use the --batch-size "
            "of all processes together"
        )
    if isinstance(config, TrainConfig) and config.transfer.adaptation == "probe":
        raise TrainError("--adaptation probe fits its head in closed form, without a learning rate. Omit it")
    check_unused(config.run.output_dir)
    _check_losses(config)
    return _read_files(config)


def _check_losses(config: PretrainConfig | TrainConfig) -> None:
    """Read the file of --loss-config, if there is one, and check it against the targets."""
    if isinstance(config, TrainConfig) and not config.target.classifier:
        try:
            config.losses()
        except ValueError as error:
            raise TrainError(str(error)) from error


def _read_files(config: PretrainConfig | TrainConfig) -> Study:
    if isinstance(config, PretrainConfig) and config.corpus.corpus is not None:
        return _read_corpus(config, config.corpus.corpus)
    taxonomy = config.taxonomy if isinstance(config, PretrainConfig) and config.weights()["taxonomy"] else None
    study = read_study(config.table, config.metadata, config.phylogeny, taxonomy, frame=_frame_of_encoder(config))
    if study.metadata is not None:
        problems = Problems()
        for column in _columns(config):
            problems.collect(study.metadata.require, column)
        problems.raise_collected()
    return study


def _read_corpus(config: PretrainConfig, folder: Path) -> Study:
    weights = config.weights()
    study = read_corpus(folder, _columns(config), with_taxonomy=weights["taxonomy"] > 0)
    needs_tree = weights["unifrac"] > 0 or weights["faith_pd"] > 0
    if needs_tree and study.forest is not None and not study.forest.trees:
        raise DataError(
            "no study of the corpus has a tree",
            code="corpus-no-targets",
            file=folder,
            remedy="Use --unifrac-weight 0, or add studies with --tree",
        )
    return study


def _frame_of_encoder(config: PretrainConfig | TrainConfig) -> Frame | None:
    """Return the frame of the encoder that a run starts from; None without one, or if it is to be ignored."""
    path = config.transfer.pretrained_encoder if isinstance(config, TrainConfig) else None
    if path is None or not isinstance(config, TrainConfig):
        return None
    return _frame(config.frame, read_parts(model_folder(path)).preprocessor)


def _frame(options: FrameOptions, preprocessor: Preprocessor) -> Frame | None:
    return preprocessor.frame if options.frame == "auto" else None


def _columns(config: PretrainConfig | TrainConfig) -> list[str]:
    """Return the metadata columns that the options name, each once."""
    columns = [config.split.group_column, config.split.stratify_column]
    if isinstance(config, TrainConfig):
        inputs = [*config.target.scale().by, *config.condition_columns(), *config.category.numbers()]
        columns = [*config.target.metadata_column, *columns, config.transfer.cv_by, *inputs]
    return [name for name in dict.fromkeys(columns) if name is not None]


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """Inputs of a command that uses a model on a table.

    Attributes:
        folder: of the model.
        preprocessor: of the model.
        study: the files, read and aligned, in the frame of the model; unneeded files are not read.
        others: the other members of an ensemble, whose first one this is.
        read: reads the files in another frame; None if all members take the sequences as they are.
    """

    folder: Path
    preprocessor: Preprocessor
    study: Study
    others: tuple[Member, ...] = ()
    read: Callable[[Frame | None], Study] | None = None

    def other_inputs(self) -> Iterator[ModelInputs]:
        """Yield the inputs of each other member; files are read again only for members with a frame of their own."""
        study, frame = self.study, self.preprocessor.frame
        for member in self.others:
            if member.preprocessor.frame != frame and self.read is not None:
                frame = member.preprocessor.frame
                study = self.read(frame)
            yield ModelInputs(member.folder, member.preprocessor, study)


def read_predict_inputs(config: PredictConfig) -> ModelInputs:
    """Check the outputs, read the model without its weights and the files; write nothing.

    Raises:
        DataError, ModelError, TrainError: something the user can change.
    """
    options = config.predict
    files = _files(config.table, config.metadata)
    check_output(options.output, files, overwrite=options.overwrite)
    first, *others = _models(options.model, options.output.parent, config.table, options.asv_sampling)
    preprocessor = first.preprocessor
    if not preprocessor.targets:
        raise TrainError(
            f"{options.model}: a pretrained encoder predicts no targets. Train a predictor with it first: aam train"
        )
    more = [*target_tables(options.output, len(preprocessor.targets)), full_table(options.output)]
    more += [probability_table(options.output)] if preprocessor.labels is not None else []
    check_output(options.output, files, more, overwrite=options.overwrite)
    if (attention := options.category_attention) is not None:
        if attention.resolve() in {path.resolve() for path in (options.output, *more)}:
            raise TrainError(f"--category-attention {attention}: must differ from the files of the predictions")
        check_output(attention, files, overwrite=options.overwrite)
        if others:
            raise TrainError(
                f"--category-attention: {options.model} is an ensemble, and its models attend differently. Pass one of "
                f"them with --model, such as {first.folder}"
            )
    if config.metadata.metadata is None:
        preprocessor.require_columns(None)
    table = replace(config.table, trim_length=preprocessor.trim_length)
    metadata = config.metadata if preprocessor.required_columns else None

    def read(frame: Frame | None) -> Study:
        return read_study(table, metadata, frame=frame)

    study = read(_frame(config.frame, preprocessor))
    preprocessor.require_columns(study.metadata)
    return ModelInputs(first.folder, preprocessor, study, tuple(others), read if config.frame.frame == "auto" else None)


def read_embed_inputs(config: EmbedConfig) -> ModelInputs:
    """Check and read the inputs of `aam embed`; see `read_predict_inputs`."""
    options = config.embed
    files = _files(config.table, MetadataOptions())
    check_output(options.output, files, overwrite=options.overwrite)
    if options.distances is not None:
        check_distance_suffix(options.distances)
        distance_files = extra_files(options.distances)
        check_output(options.distances, files, temporary=distance_files, overwrite=options.overwrite)
    if is_ensemble(options.model):
        raise TrainError(
            f"{options.model}: the models of an ensemble have embeddings that cannot be compared. Pass one of them, "
            f"such as {options.model / member_names(options.model)[0]}"
        )
    ((folder, preprocessor),) = _models(options.model, options.output.parent, config.table)
    table = replace(config.table, trim_length=preprocessor.trim_length)
    return ModelInputs(folder, preprocessor, read_study(table, frame=_frame(config.frame, preprocessor)))


def read_evaluate_inputs(config: EvaluateConfig) -> ModelInputs:
    """Check and read the inputs of `aam evaluate`; see `read_predict_inputs`."""
    options = config.evaluate
    check_unused(options.output_dir)
    first, *others = _models(options.model, options.output_dir, config.table)
    folder, preprocessor = first
    if preprocessor.targets and config.metadata.metadata is None:
        raise TrainError(f"{options.model}: its targets are metadata columns. Pass their file with --metadata")
    if not preprocessor.targets and options.prediction_passes is not None:
        raise TrainError(f"--prediction-passes: {options.model} is an encoder, which has no predictions. Omit it")
    record, asked = read_training(folder), config.phylogeny
    if asked.unifrac_metric not in ("unifrac", record.unifrac_metric):
        raise TrainError(f"--unifrac-metric {asked.unifrac_metric}: the model learned {record.unifrac_metric}")
    if asked.unifrac_alpha not in (PhylogenyOptions.unifrac_alpha, record.unifrac_alpha):
        raise TrainError(
            f"--unifrac-alpha {asked.unifrac_alpha:g}: the model learned {record.unifrac_alpha:g}. Omit it"
        )
    phylogeny = replace(asked, unifrac_metric=record.unifrac_metric, unifrac_alpha=record.unifrac_alpha)
    table = replace(config.table, trim_length=preprocessor.trim_length)

    def read(frame: Frame | None) -> Study:
        return read_study(table, config.metadata, phylogeny, frame=frame)

    study = read(_frame(config.frame, preprocessor))
    preprocessor.require_columns(study.metadata)
    return ModelInputs(folder, preprocessor, study, tuple(others), read if config.frame.frame == "auto" else None)


def _files(table: TableOptions, metadata: MetadataOptions) -> dict[str, Path | None]:
    return {"--table": table.table, "--sequences": table.sequences, "--metadata": metadata.metadata}


def _models(path: Path, output: Path, table: TableOptions, asv_sampling: str | None = None) -> list[Member]:
    """Return the model, or all members of an ensemble; raise TrainError if the table options contradict them."""
    folders = member_folders(path) if is_ensemble(path) else [model_folder(path)]
    for folder in folders:
        verify_folder(folder)
        if output.resolve() == folder.resolve():
            raise TrainError(f"{output}: must differ from the model's own folder")
    members = read_members(path) if is_ensemble(path) else [Member(folders[0], read_parts(folders[0]).preprocessor)]
    preprocessor = members[0].preprocessor
    if table.trim_length not in (0, preprocessor.trim_length):
        raise TrainError(f"--trim-length {table.trim_length}: the model needs {preprocessor.trim_length}")
    if table.relative_abundance and preprocessor.rarefy_depth:
        what = f"the model draws {preprocessor.rarefy_depth:,} reads per sample, and fractions are not reads"
        raise TrainError(f"--relative-abundance: {what}. Pass the table of counts")
    if asv_sampling is None:
        return members
    return [member._replace(preprocessor=replace(member.preprocessor, asv_sampling=asv_sampling)) for member in members]
