"""What a command looks at first: its folders and its files. Needs no torch, so mistakes are told at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from aam_data.output_files import check_output
from aam_data.preprocessor import Preprocessor
from aam_data.study import Study, read_study
from aam_models.folders import verify_folder
from aam_train.checkpoint import model_folder
from aam_train.errors import TrainError
from aam_train.experiment import PredictConfig, PretrainConfig, TrainConfig
from aam_train.model_records import read_preprocessor
from aam_train.run_folder import RunFolder, check_run


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
    folder = check_run(config, config.run)
    n_folds = config.transfer.cv if isinstance(config, TrainConfig) else 0
    folds = tuple(check_run(config, config.run, fold, folder) for fold in range(1, n_folds + 1))
    taxonomy = config.taxonomy if isinstance(config, PretrainConfig) and config.taxonomy_weight() else None
    return RunInputs(folder, folds, read_study(config.table, config.metadata, config.phylogeny, taxonomy))


@dataclass(frozen=True, eq=False)
class PredictInputs:
    """A prediction that may begin.

    Attributes:
        folder: of the model.
        preprocessor: the model's own.
        study: the table, with metadata when the model needs them.
    """

    folder: Path
    preprocessor: Preprocessor
    study: Study


def read_predict_inputs(config: PredictConfig) -> PredictInputs:
    """Check where predictions go, look at the model and read the files; weights are not loaded, nothing is written.

    Raises:
        DataError, ModelError, TrainError: something the user can change.
    """
    table, options = config.table, config.predict
    files = {"--table": table.table, "--sequences": table.sequences, "--metadata": config.metadata.metadata}
    check_output(options.output, files)
    folder = model_folder(options.model)
    verify_folder(folder)
    if options.output.parent.resolve() == folder.resolve():
        raise TrainError(f"--output {options.output}: this is the model's own folder. Name a file elsewhere")
    preprocessor = read_preprocessor(folder)
    if options.asv_sampling is not None:
        preprocessor = replace(preprocessor, asv_sampling=options.asv_sampling)
    if not preprocessor.targets:
        raise TrainError(f"{options.model}: a pretrained encoder predicts nothing yet. Train it first: aam train")
    if table.trim_length not in (0, preprocessor.trim_length):
        raise TrainError(f"--trim-length {table.trim_length}: the model needs {preprocessor.trim_length}")
    if table.relative_abundance and preprocessor.rarefy_depth:
        what = f"the model draws {preprocessor.rarefy_depth:,} reads per sample, and fractions are not reads"
        raise TrainError(f"--relative-abundance: {what}. Give the table of counts")
    check_output(options.output, files, _written_beside(options.output, len(preprocessor.targets)))
    needs_metadata = bool(preprocessor.category_columns)
    if config.metadata.metadata is None:
        preprocessor.require_columns(None)
    table = replace(table, trim_length=preprocessor.trim_length)
    return PredictInputs(folder, preprocessor, read_study(table, config.metadata if needs_metadata else None))


def _written_beside(output: Path, n_targets: int) -> list[Path]:
    """The tables that ``run_predict`` may write beside ``output``."""
    endings = ["_full", "_probabilities", *(f"-{t + 1}" for t in range(n_targets))]
    return [output.with_name(f"{output.stem}{ending}{output.suffix}") for ending in endings]
