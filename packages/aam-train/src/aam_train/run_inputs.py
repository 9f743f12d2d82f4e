"""What a training command looks at first: its folder and its files. Needs no torch, so mistakes are told at once."""

from __future__ import annotations

from dataclasses import dataclass

from aam_data.study import Study, read_study
from aam_train.experiment import PretrainConfig, TrainConfig
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
    return RunInputs(folder, folds, read_study(config.table, config.metadata, config.phylogeny))
