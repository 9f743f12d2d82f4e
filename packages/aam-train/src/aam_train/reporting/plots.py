"""The pictures of a run's report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aam_train.reporting.jsonl import read_records

mpl.use("Agg")

AAM, OTHER, FAINT = "#1b6ca8", "#c8963e", "#9a9a9a"


def plot_curves(path: Path, records: list[dict[str, Any]]) -> None:
    """Training and validation loss over epochs, and the other validation metrics."""
    epochs = [record for record in records if record["kind"] == "epoch"]
    if not epochs:
        return
    others = [name for name in epochs[0]["validation"] if name != "val_loss" and ":" not in name]
    figure = Figure(figsize=(4 * (1 + len(others)), 3.2), layout="constrained")
    axes = figure.subplots(1, 1 + len(others), squeeze=False)[0]
    x = [record["epoch"] for record in epochs]
    axes[0].plot(x, [record["train"]["total"] for record in epochs], color=FAINT, label="training")
    axes[0].plot(x, _validation(epochs, "val_loss"), color=AAM, label="validation")
    axes[0].set(title="loss", xlabel="epoch")
    axes[0].legend(frameon=False)
    for axis, name in zip(axes[1:], others, strict=True):
        axis.plot(x, _validation(epochs, name), color=AAM)
        axis.set(title=name.replace("_", " "), xlabel="epoch")
    best = [record["epoch"] for record in epochs if record["best"]]
    for axis in axes:
        if best:
            axis.axvline(best[-1], color=OTHER, linewidth=1, linestyle="--")
    figure.suptitle("dashed: best epoch", fontsize=9)
    _save(figure, path)


def draw_scatter(axis: Axes, truth: np.ndarray, predicted: np.ndarray, title: str, unit: str) -> None:
    """Predicted over true values with the identity line."""
    axis.scatter(truth, predicted, s=14 if len(truth) < 500 else 3, alpha=0.6, color=AAM, linewidths=0)
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    axis.plot([low, high], [low, high], color=FAINT, linewidth=1)
    axis.set(title=title, xlabel=f"true {unit}", ylabel=f"predicted {unit}")


def plot_scatter(path: Path, truth: np.ndarray, predicted: np.ndarray, title: str, unit: str) -> None:
    """One scatter as a picture."""
    figure = Figure(figsize=(4, 4), layout="constrained")
    draw_scatter(figure.subplots(), truth, predicted, title, unit)
    _save(figure, path)


def plot_confusion(path: Path, truth: np.ndarray, predicted: np.ndarray, classes: tuple[str, ...], title: str) -> None:
    """Counts of true (rows) by predicted (columns) classes; ``truth`` and ``predicted`` are names [R]."""
    counts = np.array([[np.sum((truth == row) & (predicted == column)) for column in classes] for row in classes])
    figure = Figure(figsize=(2 + 0.7 * len(classes), 2 + 0.6 * len(classes)), layout="constrained")
    axis = figure.subplots()
    axis.imshow(counts, cmap="Blues")
    for i, j in np.ndindex(*counts.shape):
        axis.text(j, i, str(counts[i, j]), ha="center", va="center")
    axis.set(title=title, xlabel="predicted", ylabel="true")
    axis.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
    axis.set_yticks(range(len(classes)), classes)
    _save(figure, path)


def draw_comparison(axis: Axes, values: dict[str, float], metric: str) -> None:
    """One bar a model; AAM stands out."""
    bars = axis.bar(list(values), list(values.values()), color=[AAM if n == "AAM" else FAINT for n in values])
    axis.bar_label(bars, fmt="%.2f")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set(title=f"{metric} on held-out samples")


def plot_comparison(path: Path, values: dict[str, float], metric: str) -> None:
    """The comparison as a picture."""
    figure = Figure(figsize=(4, 3.2), layout="constrained")
    draw_comparison(figure.subplots(), values, metric)
    _save(figure, path)


def _validation(epochs: list[dict[str, Any]], name: str) -> list[float]:
    """A metric over epochs, NaN where it was undefined."""
    return [np.nan if record["validation"][name] is None else record["validation"][name] for record in epochs]


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=130)


def plot_demo(
    path: Path, *, curves: Path, truth: np.ndarray, predicted: np.ndarray, r2: dict[str, float], target: str
) -> None:
    """The demo in one picture: pretraining, predictions, baselines."""
    epochs = [record for record in read_records(curves) if record["kind"] == "epoch"]
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.plot([r["epoch"] for r in epochs], _validation(epochs, "unifrac_r"), color=AAM, label="UniFrac, Pearson r")
    accuracy = _validation(epochs, "nucleotide_accuracy")
    left.plot([r["epoch"] for r in epochs], accuracy, color=OTHER, label="masked bases, accuracy")
    left.set(title="pretraining, samples of other hosts", xlabel="epoch", ylim=(0, 1))
    left.legend(frameon=False)
    draw_scatter(middle, truth, predicted, "AAM, held-out hosts", target)
    draw_comparison(right, r2, "R2")
    _save(figure, path)
