"""The search for a learning rate."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aam_train.errors import RunStopped, TrainError
from aam_train.recipes.lr_find import is_clearly_higher, lr_find
from aam_train.signals import StopFlag
from aam_train.training.lr_finder import MAX_RATE, MIN_RATE, STEPS, Fall, find_fall, running_means, search_rates

Configs = Callable[..., Any]


def test_running_means_are_unbiased_from_the_first_on() -> None:
    losses = np.array([4.0, 2.0, 1.0])
    second = (0.9 * 0.1 * 4 + 0.1 * 2) / (1 - 0.9**2)
    third = (0.81 * 0.1 * 4 + 0.9 * 0.1 * 2 + 0.1 * 1) / (1 - 0.9**3)
    assert running_means(losses) == pytest.approx([4.0, second, third])


def curve(noise: float, seed: int, *, fall: float = 1.0, at: float = 1e-3) -> np.ndarray:
    """Changes in a search: a fall around a rate, a rise near 1, and noise that grows with the rate."""
    x = np.log10(search_rates())
    smooth = np.exp(3 * (x + 0.8)) * (fall > 0) - fall / (1 + np.exp(-4 * (x - np.log10(at))))
    return smooth + noise * np.linspace(0, 1, STEPS) * np.random.default_rng(seed).standard_normal(STEPS)


@pytest.mark.parametrize("at", [1e-4, 1e-3, 3e-3])
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_the_suggestion_is_where_half_of_the_fall_has_happened(at: float, noise: float) -> None:
    found = [find_fall(curve(noise, seed, at=at)) for seed in range(20)]
    assert all(fall is not None and at / 6 < fall.half < 6 * at and fall.half < fall.lowest for fall in found), found
    assert at / 3 < np.median([fall.half for fall in found if fall is not None]) < 3 * at


@pytest.mark.parametrize("noise", [0.05, 1.0])
def test_noise_suggests_nothing(noise: float) -> None:
    found = [find_fall(curve(noise, seed, fall=0.0)) for seed in range(500)]
    assert sum(fall is not None for fall in found) <= 5


def test_a_fall_within_the_noise_suggests_nothing() -> None:
    found = [find_fall(curve(1.0, seed, fall=0.1)) for seed in range(200)]
    assert sum(fall is not None for fall in found) <= 4
    assert find_fall(np.linspace(0, 1, STEPS)) is None
    assert find_fall(curve(0.0, 0)[:30]) is None


@pytest.mark.parametrize("kind", ["pretrain", "train"])
def test_a_search_writes_its_curve_and_no_model(
    kind: str, pretrain_config: Configs, train_config: Configs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = pretrain_config if kind == "pretrain" else train_config
    folder = lr_find(make(tmp_path / "search"))
    assert sorted(path.name for path in folder.iterdir()) == ["lr-find.json", "lr-find.png", "lr-find.tsv"]
    with (folder / "lr-find.tsv").open() as lines:
        header, *rows = csv.reader(lines, "excel-tab")
    assert header == ["lr", "loss", "change", "running_mean"]
    table = np.array(rows, dtype=float)
    assert table[0, 0] == MIN_RATE
    assert np.diff(np.log(table[:, 0])) == pytest.approx(np.log(MAX_RATE / MIN_RATE) / 99)
    assert table[0, 2] == 0  # nothing has been learned yet: the same weights, masks and dropout
    assert table[1:, 2].any()
    assert table[:, 3] == pytest.approx(running_means(table[:, 2]), rel=1e-6, abs=1e-7)
    found = json.loads((folder / "lr-find.json").read_text())
    assert found["steps"] == len(table)
    assert found["suggestion"] is None or MIN_RATE < found["suggestion"] < MAX_RATE
    assert found["suggestion"] in (None, found.get("half"))
    assert "lr" in capsys.readouterr().err


@pytest.mark.parametrize(("half", "is_higher"), [(1e-5, False), (1e-4, False), (1.9e-4, False), (2.1e-4, True)])
def test_only_a_rate_that_is_clearly_higher_than_the_default_is_suggested(half: float, is_higher: bool) -> None:
    assert is_clearly_higher(Fall(half, 2 * half)) == is_higher


def test_the_same_search_gives_the_same_curve(pretrain_config: Configs, tmp_path: Path) -> None:
    first, second = (lr_find(pretrain_config(tmp_path / name), quiet=True) for name in "ab")
    assert (first / "lr-find.tsv").read_bytes() == (second / "lr-find.tsv").read_bytes()


def test_a_search_is_not_resumed_and_can_be_stopped(
    pretrain_config: Configs, changed: Configs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = pretrain_config(tmp_path / "search")
    with pytest.raises(TrainError, match="--resume-from only applies to runs"):
        lr_find(changed(config, "run", resume_from="auto"), quiet=True)
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "mine").touch()
    with pytest.raises(TrainError, match=r"search: the folder is not empty. Use a new one$"):
        lr_find(config, quiet=True)
    (tmp_path / "search" / "mine").unlink()
    (tmp_path / "search").rmdir()
    enter = StopFlag.__enter__

    def stopped(flag: StopFlag) -> StopFlag:
        flag.received = "SIGTERM"
        return enter(flag)

    monkeypatch.setattr(StopFlag, "__enter__", stopped)
    with pytest.raises(RunStopped, match="SIGTERM: nothing was saved"):
        lr_find(config, quiet=True)
    assert not (tmp_path / "search").exists()
