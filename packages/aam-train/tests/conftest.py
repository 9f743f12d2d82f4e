"""A small simulated study on disk, runs on it, and how to change a table without changing what it says."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import hypothesis
import numpy as np
import pytest
import torch
from biom.table import Table

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.options.targets import TargetOptions
from aam_data.simulate.study import SimulatedStudy, simulate_study, write_simulated_study
from aam_data.splits.selection import make_splits
from aam_data.study.study import Study, read_study
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor_options import HeadOptions
from aam_train.baselines import random_forest as forest
from aam_train.data.run_data import RunData, build_data
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.run import RunOptions, TransferOptions
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train
from aam_train.reporting.records import Reporters

SIMULATION = SimulateOptions(samples=24, asvs=60, hosts=12, bases=40, depth=300, seed=3)
SMALL = ModelOptions(preset="tiny", embedding_dim=16, attention_heads=2, attention_layers=1)
DEPTH = 100
PROCESSES = Path(__file__).parent / "parallel" / "processes"


hypothesis.settings.register_profile("untimed", deadline=None)  # machines may be busy
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def small_computations() -> Iterator[None]:
    """One thread and a small forest: the tests compare numbers, not speed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forest, "TREES", 20)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def simulated() -> SimulatedStudy:
    return simulate_study(SIMULATION)


@pytest.fixture(scope="session")
def files(simulated: SimulatedStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with table.biom, tree.nwk and metadata.tsv of 24 samples of 12 hosts."""
    folder = tmp_path_factory.mktemp("study")
    write_simulated_study(simulated, folder)
    return folder


@pytest.fixture(scope="session")
def study(files: Path) -> Study:
    return read_study(
        TableOptions(files / "table.biom"),
        MetadataOptions(files / "metadata.tsv"),
        PhylogenyOptions(tree=files / "tree.nwk"),
    )


@pytest.fixture(scope="session")
def write_table() -> Callable[..., Path]:
    """A function that writes a table of ``counts`` [samples, features]."""

    def write(path: Path, sample_ids: list[str], sequences: list[str], counts: np.ndarray) -> Path:
        with h5py.File(path, "w") as file:
            Table(counts.T, sequences, sample_ids).to_hdf5(file, "tests")
        return path

    return write


@pytest.fixture(scope="session")
def pretrain_config(files: Path) -> Callable[..., PretrainConfig]:
    """A function that gives settings of a small pretraining: 3 steps an epoch, 2 epochs.

    Keyword arguments replace whole sections; those of ``run`` are added to the small run's.
    """

    def make(output: Path, run: dict[str, Any] | None = None, **sections: Any) -> PretrainConfig:
        options: dict[str, Any] = {
            "table": TableOptions(files / "table.biom"),
            "phylogeny": PhylogenyOptions(tree=files / "tree.nwk"),
            "metadata": MetadataOptions(files / "metadata.tsv"),
            "sample": SampleOptions(rarefy_depth=DEPTH),
            "split": SplitOptions(group_column="host", stratify_column="degree_days", val_size=0.2),
            "model": SMALL,
            "optimizer": OptimizerOptions(lr=2e-3),
        }
        small = {"epochs": 2, "batch_size": 5, "device": "cpu", "num_workers": 0}
        return PretrainConfig(run=RunOptions(output, **(small | (run or {}))), **(options | sections))

    return make


@pytest.fixture(scope="session")
def train_config(files: Path) -> Callable[..., TrainConfig]:
    """The same for training on ``degree_days``, with a hidden layer and dropout in the head."""

    def make(
        output: Path, encoder: Path | None = None, run: dict[str, Any] | None = None, **sections: Any
    ) -> TrainConfig:
        options: dict[str, Any] = {
            "table": TableOptions(files / "table.biom"),
            "metadata": MetadataOptions(files / "metadata.tsv"),
            "target": TargetOptions(("degree_days",)),
            "transfer": TransferOptions(encoder),
            "sample": SampleOptions(rarefy_depth=DEPTH),
            "split": SplitOptions(group_column="host", val_size=0.2),
            "model": ModelOptions() if encoder else SMALL,
            "head": HeadOptions((8,), 0.2),
            "optimizer": OptimizerOptions(lr=2e-3),
        }
        small = {"epochs": 2, "batch_size": 5, "device": "cpu", "num_workers": 0}
        return TrainConfig(run=RunOptions(output, **(small | (run or {}))), **(options | sections))

    return make


@pytest.fixture(scope="session")
def auto_config(train_config: Callable[..., TrainConfig]) -> Callable[..., TrainConfig]:
    """The same with the defaults of `aam train`, which are those of a probe, but for its baselines."""

    def make(
        output: Path, encoder: Path | None = None, run: dict[str, Any] | None = None, **sections: Any
    ) -> TrainConfig:
        defaults = {
            "transfer": TransferOptions(encoder, baselines="none"),
            "head": HeadOptions(),
            "model": ModelOptions(),
            "optimizer": OptimizerOptions(),
        }
        return train_config(output, encoder, {"epochs": RunOptions.epochs} | (run or {}), **(defaults | sections))

    return make


@pytest.fixture(scope="session")
def data(study: Study, pretrain_config: Callable[..., PretrainConfig]) -> RunData:
    """The study as a small pretraining uses it."""
    config = pretrain_config(Path("unused"))
    (splits,) = make_splits(study, np.arange(24), config.split, config.run.seed, None)
    return build_data(config, study, splits, depth=DEPTH, max_bp=150, reporter=Reporters())


@pytest.fixture(scope="session")
def encoder_run(
    pretrain_config: Callable[..., PretrainConfig], tmp_path_factory: pytest.TempPathFactory
) -> tuple[PretrainConfig, Path]:
    """A finished pretraining: its settings and its folder. Read only."""
    config = pretrain_config(tmp_path_factory.mktemp("pretrain") / "run")
    return config, pretrain(config, quiet=True)


@pytest.fixture(scope="session")
def number_run(
    train_config: Callable[..., TrainConfig],
    encoder_run: tuple[PretrainConfig, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[TrainConfig, Path]:
    """A finished training of a regressor from that encoder. Read only."""
    config = train_config(tmp_path_factory.mktemp("train") / "run", encoder_run[1])
    return config, train(config, quiet=True)


@pytest.fixture(scope="session")
def class_run(
    train_config: Callable[..., TrainConfig], tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainConfig, Path]:
    """A finished training of a classifier from scratch. Read only."""
    target = TargetOptions(("status",), classifier=True)
    config = train_config(tmp_path_factory.mktemp("classes") / "run", target=target, head=HeadOptions())
    return config, train(config, quiet=True)


@pytest.fixture(scope="session")
def changed() -> Callable[..., Any]:
    """A config with other values in one section: ``changed(config, "run", seed=1)``."""

    def change(config: Any, section: str, **values: Any) -> Any:
        return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **values)})

    return change


@pytest.fixture
def start_processes() -> Iterator[Callable[..., list[subprocess.Popen[str]]]]:
    """A function that starts a script of ``processes/`` several times, as torchrun would: each knows its number.

    ``start_processes(3, "run.py", "none", ...)``; the last one gets ``more_of_last`` too. What still runs at the end of
    the test is killed.
    """
    started: list[subprocess.Popen[str]] = []

    def start(
        n: int, script: str, *arguments: object, more_of_last: tuple[str, ...] = (), **environ: str
    ) -> list[subprocess.Popen[str]]:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        shared = {"WORLD_SIZE": n, "LOCAL_WORLD_SIZE": n, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        command = [sys.executable, "-W", "error", str(PROCESSES / script), *map(str, arguments)]
        for rank in range(n):
            own = {"RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": 1, **shared}
            env = os.environ | {name: str(value) for name, value in own.items()} | environ
            words = [*command, *(more_of_last if rank == n - 1 else ())]
            started.append(subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-n:]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run_processes(start_processes: Callable[..., list[subprocess.Popen[str]]]) -> Callable[..., list[str]]:
    """The same, but waits until all have ended well; gives what each printed on standard error."""

    def run(n: int, script: str, *arguments: object, **environ: str) -> list[str]:
        processes = start_processes(n, script, *arguments, **environ)
        ends = [process.communicate(timeout=600) for process in processes]
        failed = [end[1] for process, end in zip(processes, ends, strict=True) if process.returncode]
        assert failed == [], failed[0]
        return [end[1] for end in ends]

    return run
