"""Records as text, lines, curves and plots."""

from __future__ import annotations

import io
import json
import math
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aam_train.evaluation.plots import (
    MAX_NAMED_CLASSES,
    plot_comparison,
    plot_confusion,
    plot_curves,
    plot_demo,
    plot_lr_search,
    plot_scatter,
)
from aam_train.options.metrics import METRICS
from aam_train.reporting import console as console_module
from aam_train.reporting.console import ConsoleReporter, epoch_line
from aam_train.reporting.durations import in_words
from aam_train.reporting.jsonl import JsonlReporter, read_records
from aam_train.reporting.records import EpochRecord, Reporters, StepRecord
from aam_train.reporting.tensorboard import TensorBoardReporter

STEP = StepRecord(
    step=1, epoch=1, loss={"total": 1.5, "unifrac": 1.5}, lr=0.1, grad_norm=2.0, skipped=False, samples=5, asvs=30,
    occurrences=60, seconds=0.5, data_wait=0.25, slot_padding=0.4, token_padding=0.05, flops=10**9, peak_share=0.5,
    peak_memory=10**9,
)  # fmt: skip
EPOCH = EpochRecord(
    step=3, epoch=1, epochs=2, train={"total": 1.5}, validation={"val_loss": 1.25, "r2": math.nan, "r2:a": 0.5},
    best=True, lr=0.1, skipped=0, seconds=2.0, validation_seconds=1.0, samples_per_second=8.0, asvs_per_second=1234.0,
    occurrences_per_asv=2.0, data_wait=0.1, slot_padding=0.4, token_padding=0.05, flops_per_second=2e9, peak_flops=4e9,
    peak_share=0.5, peak_memory=2 * 10**9,
)  # fmt: skip


def png_size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = ConsoleReporter()
    reporter.start(6, 0)
    reporter.note("24 samples [bold]train[/bold]")
    reporter.step(STEP)
    reporter.epoch(EPOCH)
    reporter.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "24 samples [bold]train[/bold]",
        "epoch 1/2: loss 1.5, val_loss 1.25, r2 nan (best), 3 s left",
    ]


def test_verbose_lines_have_all_metrics_and_the_throughput(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleReporter(verbose=True).epoch(replace(EPOCH, expected_memory=2_400_000_000))
    assert capsys.readouterr().err.splitlines()[1] == (
        "  val_loss 1.25, r2 nan, 2.0 s, 8.0 samples/s, 1,234 ASVs/s, 2.0 uses each, 50% of peak, "
        "10% waiting for data, 40% of slots and 5% of tokens empty, 2.0 GB (2.4 planned)"
    )


def test_the_line_of_an_epoch_has_the_metric_that_selects(capsys: pytest.CaptureFixture[str]) -> None:
    measured = {"val_loss": 0.5, "accuracy": 0.75, "balanced_accuracy": 0.7, "f1": 0.69, "auc": 0.8123, "r2:a": 1.0}
    record = replace(EPOCH, validation=measured, best=False, epoch=2)
    assert epoch_line(record, "f1") == "epoch 2/2: loss 1.5, val_loss 0.5, f1 0.69, balanced_accuracy 0.7"
    assert epoch_line(record, "val_loss") == "epoch 2/2: loss 1.5, val_loss 0.5, balanced_accuracy 0.7, auc 0.812"
    assert epoch_line(replace(record, validation={}), "val_loss") == "epoch 2/2: loss 1.5"


@pytest.mark.parametrize("best_metric", METRICS)
def test_the_line_of_an_epoch_fits_the_width(best_metric: str) -> None:
    measured = dict.fromkeys(METRICS, 0.00012345)
    record = replace(
        EPOCH, epoch=9_999, epochs=10_000, train={"total": 0.000123456}, validation=measured, seconds=1e7, skipped=1234
    )
    line = epoch_line(record, best_metric)
    assert line.startswith("epoch 9999/10000: loss 0.0001235, val_loss 0.0001234")
    assert line.endswith(" (best), 1234 skipped by fp16, 115.7 days left")
    assert len(line) <= 100


def test_durations_have_a_unit() -> None:
    seconds = (0.4, 119, 120, 7_199, 7_200, 359_000, 864_000)
    assert [in_words(value) for value in seconds] == [
        "0 s",
        "119 s",
        "2 min",
        "120 min",
        "2.0 h",
        "99.7 h",
        "10.0 days",
    ]


def test_a_sign_of_life_within_long_epochs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "SECONDS_BETWEEN_LINES", 0.0)
    reporter = ConsoleReporter()
    reporter.start(6, 0)
    reporter.step(STEP)
    assert capsys.readouterr().err == "epoch 1, step 1/6: loss 1.5000\n"


def test_quiet_prints_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = ConsoleReporter(quiet=True)
    reporter.start(6, 0)
    reporter.note("24 samples train")
    reporter.note("warning: H1 repeats")
    reporter.step(STEP)
    reporter.epoch(EPOCH)
    reporter.close()
    assert capsys.readouterr().err == "warning: H1 repeats\n"


def test_terminal_codes_of_ids_are_shown_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleReporter().note("sample \x1b[31mred\nline")
    assert capsys.readouterr().err == "sample \\x1b[31mred\\nline\n"


def test_a_bar_on_a_terminal() -> None:
    reporter = ConsoleReporter()
    reporter.console = Console(file=io.StringIO(), force_terminal=True, width=100)
    reporter.start(6, 2)
    assert reporter.progress is not None
    reporter.step(replace(STEP, step=3))
    task = reporter.progress.tasks[0]
    assert (task.completed, task.total, task.description) == (3, 6, "loss 1.5000")
    reporter.close()
    assert reporter.progress is None


def no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


def test_metrics_are_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    reporter = JsonlReporter(path)
    reporter.step(STEP)
    reporter.note("not a record")
    reporter.epoch(replace(EPOCH, validation={"val_loss": math.inf, "r2": math.nan}))
    lines = [json.loads(line, parse_constant=no_constant) for line in path.read_text().splitlines()]  # at once
    reporter.close()
    assert [line["kind"] for line in lines] == ["step", "epoch"]
    assert lines[0]["loss"] == {"total": 1.5, "unifrac": 1.5}
    assert lines[1]["validation"] == {"val_loss": None, "r2": None}


def test_lines_after_the_step_of_resumption_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = JsonlReporter(path)
    for step in (1, 2, 3):
        first.step(replace(STEP, step=step))
    first.epoch(EPOCH)
    first.step(replace(STEP, step=4))
    first.close()
    with path.open("a") as file:
        file.write('{"kind": "st')  # killed in the middle of a line
    unjudged = shutil.copy(path, tmp_path / "unjudged.jsonl")
    JsonlReporter(unjudged, first_step=3).close()
    assert [(record["kind"], record["step"]) for record in read_records(unjudged)] == [
        ("step", 1), ("step", 2), ("step", 3),
    ]  # fmt: skip
    unjudged.unlink()
    second = JsonlReporter(path, first_step=3, first_epoch=1)
    second.step(replace(STEP, step=4, lr=0.2))
    second.close()
    records = read_records(path)
    assert [(record["kind"], record["step"]) for record in records] == [
        ("step", 1), ("step", 2), ("step", 3), ("epoch", 3), ("step", 4),
    ]  # fmt: skip
    assert records[-1]["lr"] == 0.2
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_curves_for_tensorboard(tmp_path: Path) -> None:
    first = TensorBoardReporter(tmp_path)
    for step in (1, 2):
        first.step(replace(STEP, step=step))
    first.close()
    second = TensorBoardReporter(tmp_path, first_step=1)
    second.note("for people")
    second.step(replace(STEP, step=2, lr=0.2))
    second.epoch(EPOCH)
    second.close()
    curves = EventAccumulator(str(tmp_path)).Reload()
    rates = [(event.step, round(event.value, 6)) for event in curves.Scalars("train/lr")]
    assert rates == [(1, 0.1), (2, 0.2)]
    tags = set(curves.Tags()["scalars"])
    assert {"train/total", "train/unifrac", "train/grad_norm", "validation/val_loss", "validation/r2:a"} <= tags
    assert "validation/r2" not in tags  # undefined


def test_several_reporters_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reporters = Reporters((ConsoleReporter(), JsonlReporter(tmp_path / "metrics.jsonl")))
    reporters.note("a note")
    reporters.step(STEP)
    reporters.epoch(EPOCH)
    reporters.close()
    assert len(read_records(tmp_path / "metrics.jsonl")) == 2
    assert capsys.readouterr().err.startswith("a note\nepoch 1/2")


def epochs(validations: list[dict[str, float | None]]) -> list[dict[str, Any]]:
    return [
        {
            "kind": "epoch",
            "step": n,
            "epoch": n,
            "epochs": 2,
            "train": {"total": 1.0},
            "validation": validation,
            "best": n == 1,
        }
        for n, validation in enumerate(validations, 1)
    ]


@pytest.fixture
def plot(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "plot.png"
    assert len(list(tmp_path.iterdir())) <= 1


def test_plots_of_curves(plot: Path) -> None:
    plot_curves(plot, [])
    assert not plot.exists()
    plot_curves(plot, epochs([{"val_loss": 1.0, "r2": None, "r2:a": 0.1}, {"val_loss": None, "r2": 0.5, "r2:a": 0.1}]))
    two = png_size(plot)
    plot_curves(plot, epochs([{}, {}]))
    assert png_size(plot)[0] * 2 == two[0]


def test_an_undefined_metric_has_no_panel(plot: Path) -> None:
    plot_curves(plot, epochs([{"val_loss": 1.0, "r2": None, "mae": 2.0}, {"val_loss": 1.0, "r2": None, "mae": 1.0}]))
    with_mae = png_size(plot)
    plot_curves(plot, epochs([{"val_loss": 1.0, "mae": 2.0}, {"val_loss": 1.0, "mae": 1.0}]))
    assert png_size(plot) == with_mae


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures that were saved, to look at."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: Any, **options: Any) -> None:
        save(figure, *args, **options)
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def test_epochs_are_whole_numbers(plot: Path, drawn: list[Figure]) -> None:
    plot_curves(plot, epochs([{"val_loss": 1.0}, {"val_loss": 0.5}, {"val_loss": 0.4}]))
    assert all(tick == round(tick) for axis in drawn[0].axes for tick in axis.get_xticks())


def test_numbers_of_a_confusion_matrix_are_readable(plot: Path, drawn: list[Figure]) -> None:
    names = np.array(["a"] * 9 + ["b"], dtype=object)
    plot_confusion(plot, names, names, ("a", "b"), "t")
    assert [(text.get_text(), text.get_color()) for text in drawn[0].axes[0].texts] == [
        *(("9", "white"), ("0", "black"), ("0", "black"), ("1", "black"))
    ]


def test_bars_have_room_for_their_names(plot: Path, drawn: list[Figure]) -> None:
    plot_comparison(plot, {"AAM": -0.001, "random forest": 0.4, "metadata alone": 0.1, "constant": 0.0}, "R2")
    (axis,) = drawn[0].axes
    boxes = [label.get_window_extent() for label in axis.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert axis.texts[0].get_text() == "0.00"


def test_axes_of_a_log_target_are_logarithmic_with_plain_numbers(plot: Path, drawn: list[Figure]) -> None:
    values = np.array([1.0, 10.0, 5000.0])
    plot_scatter(plot, values, values, "held-out", "y", log=True)
    plot_scatter(plot, values - 1, values, "held-out", "y", log=True)  # 0 has no place on a log axis
    plot_lr_search(plot, np.logspace(-6, 0, 100), np.ones(100), np.ones(100), None)
    assert [figure.axes[0].get_xscale() for figure in drawn] == ["log", "linear", "log"]
    for figure in (drawn[0], drawn[2]):
        labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
        assert len(labels) > 2
        assert all(float(label) > 0 for label in labels)


def test_plots_show_names_as_they_are(plot: Path) -> None:
    """Column names and classes are input: dollars are no formulas."""
    plot_scatter(plot, np.arange(3.0), np.arange(3.0), "held-out", "cost in $ per ^{ $")
    assert png_size(plot) == (520, 520)
    plot_confusion(plot, np.array(["$a", "b$_{"]), np.array(["$a", "$a"]), ("$a", "b$_{"), "$_{$")


def test_plots_without_values(plot: Path) -> None:
    plot_scatter(plot, np.zeros(0), np.zeros(0), "held-out", "y")
    assert not plot.exists()
    plot_comparison(plot, {"AAM": math.nan, "constant": math.nan}, "R2")
    plot_comparison(plot, {"AAM": 0.5, "constant": math.nan}, "R2")
    assert plot.exists()


def test_many_classes_stay_a_plot(plot: Path) -> None:
    classes = tuple(f"class {n}" for n in range(300))
    names = np.array(classes, dtype=object)
    plot_confusion(plot, names, names, classes, "many")
    assert max(png_size(plot)) == int((2 + 0.7 * MAX_NAMED_CLASSES) * 130)


def test_the_plot_of_the_demo(plot: Path, tmp_path: Path) -> None:
    curves = tmp_path / "curves" / "metrics.jsonl"
    curves.parent.mkdir()
    lines = epochs([{"unifrac_r": None, "nucleotide_accuracy": 0.5}, {"unifrac_r": 0.3, "nucleotide_accuracy": 0.6}])
    curves.write_text("".join(json.dumps(line) + "\n" for line in lines))
    truth = np.arange(4.0)
    plot_demo(plot, curves=curves, truth=truth, predicted=truth[::-1], r2={"AAM": 0.5, "forest": 0.4}, target="y")
    assert png_size(plot) == (1560, 494)
    curves.unlink()
    curves.parent.rmdir()
