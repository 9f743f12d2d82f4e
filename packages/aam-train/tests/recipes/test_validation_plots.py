"""Plots of validation samples: for every epoch in TensorBoard, and in the report without held-out samples."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator

from aam_data.options.samples import SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.splits.splits import read_splits
from aam_train.evaluation import plots
from aam_train.evaluation.predictions import Predictions
from aam_train.recipes.train import train

Configs = Callable[..., Any]


@pytest.mark.parametrize(
    ("target", "plot"),
    [
        (TargetOptions(("degree_days",)), "predicted_vs_true"),
        (TargetOptions(("status",), classifier=True), "confusion"),
    ],
)
def test_every_epoch_and_the_report_show_all_validation_samples(
    target: TargetOptions, plot: str, train_config: Configs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[str, ...]] = []
    draw = plots.plot_target

    def keep(path: Any, predictions: Predictions, *args: Any, **options: Any) -> None:
        shown.append(tuple(sorted(predictions.sample_ids)))
        draw(path, predictions, *args, **options)

    monkeypatch.setattr(plots, "plot_target", keep)
    split = SplitOptions(group_column="host", test_size=0.0, val_size=0.3)
    run = train(train_config(tmp_path / "run", target=target, split=split, run={"epochs": 2}), quiet=True)
    validation = read_splits(run / "splits.tsv").validation
    assert shown[:2] == [validation, validation]
    images = EventAccumulator(str(run / "tensorboard"), size_guidance={IMAGES: 0}).Reload()
    events = images.Images(f"validation/{plot}")
    assert len(events) == 2
    assert events[0].step < events[1].step
    assert imread(io.BytesIO(events[0].encoded_image_string)).shape[0] == events[0].height
    assert [event.step for event in images.Images(f"best_validation/{plot}")] == [events[1].step]
    assert (run / "report" / f"validation_{plot}.png").exists()
    assert not (run / "report" / f"{plot}.png").exists()
    assert np.isfinite(imread(run / "report" / f"validation_{plot}.png")).all()
