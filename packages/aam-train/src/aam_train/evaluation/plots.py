"""Plots of a run's report."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from aam_data.writers.atomic import atomic_write
from aam_train.evaluation.predictions import Interval, Predictions, is_known, suffix_of
from aam_train.reporting.jsonl import read_records

AAM, OTHER, FAINT = "#1b6ca8", "#c8963e", "#9a9a9a"
MAX_NAMED_CLASSES = 30  # of a confusion matrix; more are plotted without names and numbers


@contextmanager
def saved_figure(path: Path | BinaryIO, width: float, height: float) -> Iterator[Figure]:
    """Yield a figure of a size in inches and save it at the end; text is shown literally, even with ``$``."""
    with mpl.rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        if not isinstance(path, Path):
            figure.savefig(path, dpi=130)
            return
        with atomic_write(path) as temporary:
            figure.savefig(temporary, dpi=130)


def plot_curves(path: Path, records: list[dict[str, Any]]) -> None:
    """Plot training and validation loss over epochs, and the other validation metrics."""
    epochs = [record for record in records if record["kind"] == "epoch"]
    if not epochs:
        return
    others = [name for name in epochs[0]["validation"] if name != "val_loss" and ":" not in name]
    others = [name for name in others if np.isfinite(_validation(epochs, name)).any()]
    with saved_figure(path, 4 * (1 + len(others)), 3.2) as figure:
        axes = figure.subplots(1, 1 + len(others), squeeze=False)[0]
        x = [record["epoch"] for record in epochs]
        axes[0].plot(x, [record["train"]["total"] for record in epochs], color=FAINT, label="training")
        if "val_loss" in epochs[0]["validation"]:
            axes[0].plot(x, _validation(epochs, "val_loss"), color=AAM, label="validation")
        axes[0].set(title="loss", xlabel="epoch")
        axes[0].legend(frameon=False)
        for axis, name in zip(axes[1:], others, strict=True):
            axis.plot(x, _validation(epochs, name), color=AAM)
            axis.set(title=name.replace("_", " "), xlabel="epoch")
        if best := [record["epoch"] for record in epochs if record["best"]]:
            figure.suptitle("dashed: best epoch", fontsize=9)
            for axis in axes:
                axis.axvline(best[-1], color=OTHER, linewidth=1, linestyle="--")
        for axis in axes:
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def plot_predictions(
    folder: Path,
    predictions: Predictions,
    truth: np.ndarray,
    title: str,
    *,
    prefix: str = "",
    log_targets: Collection[str] = (),
) -> None:
    """Plot predictions beside the truth [R, T], one file per target: scatter plots, or a confusion matrix.

    Args:
        folder: of the files ``predicted_vs_true.png`` or ``confusion.png``; there is none without known values.
        title: which samples these are.
        prefix: of the names of the files.
        log_targets: targets with logarithmic axes.
    """
    for t, name in enumerate(predictions.names):
        kind = "confusion" if predictions.classes else "predicted_vs_true"
        path = folder / f"{prefix}{kind}{suffix_of(predictions.names, t)}.png"
        plot_target(path, predictions, truth, t, title, log=name in log_targets)


def plot_target(
    path: Path | BinaryIO, predictions: Predictions, truth: np.ndarray, target: int, title: str, *, log: bool = False
) -> None:
    """Plot one target, see `plot_predictions`; write nothing without known values."""
    name, values = predictions.names[target], truth[:, target]
    known = is_known(values)
    if not predictions.classes:
        known &= np.isfinite(predictions.values[:, target])
    if not known.any():
        return
    chosen = predictions.take(known)
    pair = values[known], chosen.values[:, target]
    if predictions.classes:
        plot_confusion(path, *pair, predictions.classes, f"{name}, {title}")
    else:
        plot_scatter(path, *pair, title, name, chosen.interval(target), log=log)


def plot_scatter(
    path: Path | BinaryIO,
    truth: np.ndarray,
    predicted: np.ndarray,
    title: str,
    unit: str,
    interval: Interval | None = None,
    *,
    log: bool = False,
) -> None:
    """Plot predicted against true values, with intervals if there are any; write no file without values.

    Args:
        log: whether the axes are logarithmic, if all values are above 0.
    """
    if len(truth):
        with saved_figure(path, 4, 4) as figure:
            axis = figure.subplots()
            if log and min(truth.min(), predicted.min()) > 0:
                axis.set(xscale="log", yscale="log")
            if interval is not None:
                axis.vlines(truth, interval.lower, interval.upper, color=FAINT, alpha=0.4, linewidth=0.8)
                title = f"{title}, {interval.nominal:.0%} interval"
            add_scatter(axis, truth, predicted, title, unit)
            if axis.get_xscale() == "log":
                plain_log_ticks(axis.xaxis)
                plain_log_ticks(axis.yaxis)


def add_scatter(axis: Axes, truth: np.ndarray, predicted: np.ndarray, title: str, unit: str) -> None:
    """Add predicted against true values and the identity line to axes."""
    axis.scatter(truth, predicted, s=14 if len(truth) < 500 else 3, alpha=0.6, color=AAM, linewidths=0)
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    axis.plot([low, high], [low, high], color=FAINT, linewidth=1)
    axis.set(title=title, xlabel=f"true {unit}", ylabel=f"predicted {unit}")


def plain_log_ticks(axis: XAxis | YAxis) -> None:
    """Label the ticks of a logarithmic axis with plain numbers; formulas would be shown as their source text."""
    low, high = sorted(axis.get_view_interval())
    several = LogLocator(subs=(1.0, 2.0, 5.0) if high < 1000 * low else (1.0,))
    axis.set_major_locator(several if high > 10 * low else MaxNLocator(4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def plot_confusion(
    path: Path | BinaryIO, truth: np.ndarray, predicted: np.ndarray, classes: tuple[str, ...], title: str
) -> None:
    """Plot counts of true (rows) by predicted (columns) classes; ``truth`` and ``predicted`` are names [R]."""
    code = {name: number for number, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, ([code[name] for name in truth], [code[name] for name in predicted]), 1)
    shown = min(len(classes), MAX_NAMED_CLASSES)
    with saved_figure(path, 2 + 0.7 * shown, 2 + 0.6 * shown) as figure:
        axis = figure.subplots()
        axis.imshow(counts, cmap="Blues")
        axis.set(title=title, xlabel="predicted", ylabel="true")
        if len(classes) <= MAX_NAMED_CLASSES:
            for i, j in np.ndindex(*counts.shape):
                color = "white" if counts[i, j] > counts.max() / 2 else "black"  # cells are dark blue above half
                axis.text(j, i, str(counts[i, j]), ha="center", va="center", color=color)
            axis.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
            axis.set_yticks(range(len(classes)), classes)


def plot_comparison(
    path: Path, values: dict[str, float], metric: str, intervals: Mapping[str, tuple[float, float]] | None = None
) -> None:
    """Plot a metric of several models side by side; see `add_comparison`."""
    with saved_figure(path, max(4, 0.8 + 1.1 * len(values)), 3.2) as figure:
        add_comparison(figure.subplots(), values, metric, intervals)


def add_comparison(
    axis: Axes, values: dict[str, float], metric: str, intervals: Mapping[str, tuple[float, float]] | None = None
) -> None:
    """Add one bar per model to axes, AAM highlighted, with a line for its interval; undefined values have none."""
    defined = {name: value for name, value in values.items() if np.isfinite(value)}
    labels = [name.replace(" ", "\n") for name in defined]
    bars = axis.bar(labels, list(defined.values()), color=[AAM if n.startswith("AAM") else FAINT for n in defined])
    for position, name in enumerate(defined):
        low, high = (intervals or {}).get(name, (np.nan, np.nan))
        if np.isfinite(low) and low < high:
            axis.plot([position, position], [low, high], color="black", linewidth=1)
    # adding 0 turns -0 into 0
    axis.bar_label(bars, [f"{round(value, 2) + 0.0:.2f}" for value in defined.values()])
    axis.axhline(0, color="black", linewidth=0.8)
    axis.margins(y=0.12)
    axis.set(title=f"{metric} on held-out samples")


def plot_demo(
    path: Path, *, curves: Path, truth: np.ndarray, predicted: np.ndarray, r2: dict[str, float], target: str
) -> None:
    """Plot the demo in one figure: pretraining, predictions, baselines."""
    epochs = [record for record in read_records(curves) if record["kind"] == "epoch"]
    with saved_figure(path, 12, 3.8) as figure:
        left, middle, right = figure.subplots(1, 3)
        x = [record["epoch"] for record in epochs]
        left.plot(x, _validation(epochs, "unifrac_r"), color=AAM, label="UniFrac, Pearson r")
        left.plot(x, _validation(epochs, "nucleotide_accuracy"), color=OTHER, label="masked bases, accuracy")
        left.set(title="pretraining, samples of other hosts", xlabel="epoch", ylim=(0, 1))
        left.legend(frameon=False)
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        add_scatter(middle, truth, predicted, "AAM, held-out hosts", target)
        add_comparison(right, r2, "R2")


def _validation(epochs: list[dict[str, Any]], name: str) -> list[float]:
    """Return a metric over epochs, NaN where it is undefined."""
    values = (record["validation"].get(name) for record in epochs)
    return [np.nan if value is None else value for value in values]


def plot_lr_search(path: Path, rates: np.ndarray, changes: np.ndarray, means: np.ndarray, fall: float | None) -> None:
    """Plot the change of the loss over the learning rate, and the rate around which it falls."""
    with saved_figure(path, 5, 3.5) as figure:
        axis = figure.subplots()
        axis.plot(rates, changes, color=FAINT, linewidth=0.8, label="loss less that of the initial weights")
        axis.plot(rates, means, color=AAM, label="running mean")
        if fall is not None:
            axis.axvline(fall, color=OTHER, linestyle="--", label=f"falls around {fall:.2g}")
        axis.set(xscale="log", xlabel="learning rate", title="search for the learning rate")
        plain_log_ticks(axis.xaxis)
        axis.legend(frameon=False)
