"""`aam lr-find`: loss against learning rate, for pretraining or training, and a rate to start with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aam_data.study.study import Study
from aam_train.device.device import resolve_device
from aam_train.device.precision import torch_settings
from aam_train.files import write_json, write_table
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.parallel.strategy import Single
from aam_train.recipes.inputs import read_search_inputs
from aam_train.reporting.console import ConsoleReporter
from aam_train.setup.encoder_setup import set_up_encoder
from aam_train.setup.predictor_setup import set_up_first_split
from aam_train.setup.run_context import RunContext
from aam_train.signals import StopFlag
from aam_train.training.lr_finder import Fall, LrSearch, find_rate, running_means

# Rates within this ratio train alike. Where a search falls below the default, either rate may train better: validation
# loss after five epochs at the found and the default rate: simulated study, batches of 8 and 32: 0.628 at 1.5e-4 and
# 0.750, 1.027 at 7.6e-5 and 0.996; ibd, 8: 0.645 at 3.3e-5 and 0.674; udca, 8 and 32: 0.608 at 1.6e-5 and 0.601, 0.607
# at 2.5e-5 and 0.603.
CLOSE = 2.0


def lr_find(config: PretrainConfig | TrainConfig, study: Study | None = None, *, quiet: bool = False) -> Path:
    """Search for a learning rate with the settings of a run.

    Args:
        config: settings of the run.
        study: as returned by `read_search_inputs` for the same settings; read here by default.
        quiet: print warnings only.

    Returns:
        The folder of the curve, ``--output-dir``.

    Raises:
        DataError, ModelError, TrainError: something the user can change; nothing was written.
        RunStopped: after a signal; nothing was written.

    Example:
        >>> lr_find(config)  # doctest: +SKIP
        PosixPath('runs/lr')
    """
    if isinstance(config, TrainConfig) and config.transfer.adaptation == "auto":
        config = replace(config, transfer=replace(config.transfer, adaptation="fine-tune"))  # a probe has no rate
    console, strategy = ConsoleReporter(quiet=quiet), Single(resolve_device(config.run.device))
    study = study or read_search_inputs(config)
    with StopFlag() as stop, torch_settings(config.compute, strategy.device, console):
        context = RunContext(strategy, stop, console)
        if isinstance(config, PretrainConfig):
            setup = set_up_encoder(config, study, context, is_new=True)
        else:
            setup = set_up_first_split(config, study, context)
        search = find_rate(setup, config, console)
    fall = search.fall
    suggestion = None if fall is None or not is_clearly_higher(fall) else fall.half
    _write(config.run.output_dir, search, suggestion)
    console.note(_in_words(fall, suggestion))
    return config.run.output_dir


def _in_words(fall: Fall | None, suggestion: float | None) -> str:
    """Describe the result of a search, and what to do."""
    default = f"--lr {OptimizerOptions.lr:g}"
    if fall is None:
        return (
            "no clear suggestion: the loss falls at no rate by more than its noise from step to step. Keep the "
            f"default, {default}, or search with a larger --batch-size, whose curve has less noise"
        )
    if suggestion is None:
        advice = "keep it" if fall.lowest > OptimizerOptions.lr else "compare short runs with it and a lower rate"
        return (
            f"no clear suggestion: the loss falls around {fall.half:.2g} and is lowest around {fall.lowest:.2g}, which "
            f"says nothing against the default, {default}: {advice}"
        )
    return f"the loss falls clearly around {suggestion:.2g}: try --lr {suggestion:.2g}"


def is_clearly_higher(fall: Fall) -> bool:
    """Return whether the loss falls at clearly higher rates than the default."""
    return fall.half > CLOSE * OptimizerOptions.lr


def _write(folder: Path, search: LrSearch, suggestion: float | None) -> None:
    from aam_train.evaluation.plots import plot_lr_search

    folder.mkdir(parents=True, exist_ok=True)
    means = running_means(search.changes)
    rows = zip(search.rates, search.losses, search.changes, means, strict=True)
    header = ["lr", "loss", "change", "running_mean"]
    write_table(folder / "lr-find.tsv", header, ([f"{x:.9g}" for x in row] for row in rows))
    found = {} if search.fall is None else search.fall._asdict()
    write_json(folder / "lr-find.json", {"suggestion": suggestion, "steps": len(search.rates), **found})
    plot_lr_search(folder / "lr-find.png", search.rates, search.changes, means, found.get("half"))
