"""Plots of a run's report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aam_data.writers.atomic import atomic_write
from aam_train.evaluation.predictions import Interval
from aam_train.reporting.jsonl import read_records

AAM, OTHER, FAINT = "#1b6ca8", "#c8963e", "#9a9a9a"
MAX_NAMED_CLASSES = 30  # of a confusion matrix; more are plotted without names and numbers


@contextmanager
def saved_figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Yield a figure of a size in inches and save it at the end; text is shown literally, even with ``$``."""
    with mpl.rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        with atomic_write(path) as temporary:
            figure.savefig(temporary, dpi=130)


def plot_curves(path: Path, records: list[dict[str, Any]]) -> None:
    """Plot training and validation loss over epochs, and the other validation metrics."""
    epochs = [record for record in records if record["kind"] == "epoch"]
    if not epochs:
        return
    others = [name for name in epochs[0]["validation"] if name != "val_loss" and ":" not in name]
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


def plot_scatter(
    path: Path, truth: np.ndarray, predicted: np.ndarray, title: str, unit: str, interval: Interval | None = None
) -> None:
    """Plot predicted against true values, with intervals if there are any; write no file without values."""
    if len(truth):
        with saved_figure(path, 4, 4) as figure:
            axis = figure.subplots()
            if interval is not None:
                axis.vlines(truth, interval.lower, interval.upper, color=FAINT, alpha=0.4, linewidth=0.8)
                title = f"{title}, {interval.nominal:.0%} interval"
            add_scatter(axis, truth, predicted, title, unit)


def add_scatter(axis: Axes, truth: np.ndarray, predicted: np.ndarray, title: str, unit: str) -> None:
    """Add predicted against true values and the identity line to axes."""
    axis.scatter(truth, predicted, s=14 if len(truth) < 500 else 3, alpha=0.6, color=AAM, linewidths=0)
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    axis.plot([low, high], [low, high], color=FAINT, linewidth=1)
    axis.set(title=title, xlabel=f"true {unit}", ylabel=f"predicted {unit}")


def plot_confusion(path: Path, truth: np.ndarray, predicted: np.ndarray, classes: tuple[str, ...], title: str) -> None:
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
                axis.text(j, i, str(counts[i, j]), ha="center", va="center")
            axis.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
            axis.set_yticks(range(len(classes)), classes)


def plot_comparison(path: Path, values: dict[str, float], metric: str) -> None:
    """Plot a metric of several models side by side."""
    with saved_figure(path, 4, 3.2) as figure:
        add_comparison(figure.subplots(), values, metric)


def add_comparison(axis: Axes, values: dict[str, float], metric: str) -> None:
    """Add one bar per model to axes, AAM highlighted; undefined values have no bar."""
    defined = {name: value for name, value in values.items() if np.isfinite(value)}
    bars = axis.bar(list(defined), list(defined.values()), color=[AAM if n == "AAM" else FAINT for n in defined])
    axis.bar_label(bars, fmt="%.2f")
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
        add_scatter(middle, truth, predicted, "AAM, held-out hosts", target)
        add_comparison(right, r2, "R2")


def _validation(epochs: list[dict[str, Any]], name: str) -> list[float]:
    """Return a metric over epochs, NaN where it is undefined."""
    values = (record["validation"].get(name) for record in epochs)
    return [np.nan if value is None else value for value in values]


def plot_lr_search(
    path: Path, rates: np.ndarray, losses: np.ndarray, means: np.ndarray, suggestion: float | None
) -> None:
    """Plot the loss over the learning rate, and the suggested rate."""
    with saved_figure(path, 5, 3.5) as figure:
        axis = figure.subplots()
        axis.plot(rates, losses, color=FAINT, linewidth=0.8, label="loss")
        axis.plot(rates, means, color=AAM, label="running mean")
        if suggestion is not None:
            axis.axvline(suggestion, color=OTHER, linestyle="--", label=f"suggestion {suggestion:.2g}")
        axis.set(xscale="log", xlabel="learning rate", title="search for the learning rate")
        axis.legend(frameon=False)
