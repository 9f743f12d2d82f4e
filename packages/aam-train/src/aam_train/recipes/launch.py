"""How every recipe starts: on one process or on several, with its stop flag, console and precision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aam_train.device.device import resolve_device
from aam_train.device.precision import Precision, torch_settings, trusted_attention
from aam_train.options.recipe_configs import EmbedConfig, EvaluateConfig, PredictConfig, PretrainConfig, TrainConfig
from aam_train.parallel.environment import RankInfo
from aam_train.parallel.launch import launch, number_of_processes
from aam_train.parallel.process_group import process_group
from aam_train.parallel.strategy import Single
from aam_train.recipes.inputs import ModelInputs, RunInputs, read_run_inputs
from aam_train.reporting.console import ConsoleReporter
from aam_train.setup.run_context import RunContext
from aam_train.signals import StopFlag

RunConfigT = TypeVar("RunConfigT", PretrainConfig, TrainConfig)
ModelConfigT = TypeVar("ModelConfigT", PredictConfig, EvaluateConfig, EmbedConfig)
ResultT = TypeVar("ResultT")


def run_recipe(
    recipe: Callable[[RunConfigT, RunInputs, RunContext], Path],
    config: RunConfigT,
    inputs: RunInputs | None,
    *,
    quiet: bool,
    verbose: bool = False,
) -> Path:
    """Run a training recipe, on as many processes as the options ask for.

    Args:
        recipe: a function of a module, so that new processes can import it.
        inputs: as returned by `read_run_inputs`; read here by default.
        quiet: print warnings only.
        verbose: print all metrics and the throughput of every epoch.
    """
    inputs = inputs or read_run_inputs(config)
    processes = number_of_processes(config.parallel, config.run.device, quiet=quiet)
    if processes > 1:
        launch(partial(_run_process, recipe, verbose=verbose), config, quiet=quiet, processes=processes)
        return config.run.output_dir
    return _run_process(recipe, config, quiet, None, inputs, verbose=verbose)


def _run_process(
    recipe: Callable[[Any, RunInputs, RunContext], Path],
    config: PretrainConfig | TrainConfig,
    quiet: bool,
    rank_info: RankInfo | None = None,
    inputs: RunInputs | None = None,
    *,
    verbose: bool = False,
) -> Path:
    """Run one process of a recipe; ``rank_info`` identifies it where `--data-parallel` has started it."""
    inputs = inputs or read_run_inputs(config)
    with (
        process_group(config.parallel, config.compute, config.run.device, rank_info) as strategy,
        StopFlag(strategy.ranks.all_reduce_max) as stop,
    ):
        console = ConsoleReporter(quiet=quiet, verbose=verbose, silent=not strategy.ranks.is_rank_zero)
        with torch_settings(config.compute, strategy.device, console):
            return recipe(config, inputs, RunContext(strategy, stop, console))


def run_inference(
    recipe: Callable[[ModelConfigT, ModelInputs, RunContext], ResultT],
    config: ModelConfigT,
    inputs: Callable[[], ModelInputs],
    *,
    device: str,
    writer: AbstractContextManager[None],
    quiet: bool,
) -> ResultT:
    """Run a recipe that uses a trained model, on one process.

    Args:
        inputs: returns what the command reads.
        device: as ``--device``.
        writer: lock of the output, see `sole_writer`.
        quiet: print warnings only.
    """
    console, strategy = ConsoleReporter(quiet=quiet), Single(resolve_device(device))
    with StopFlag() as stop, trusted_attention(Precision(strategy.device), console):
        read = inputs()
        with writer:
            return recipe(config, read, RunContext(strategy, stop, console))
