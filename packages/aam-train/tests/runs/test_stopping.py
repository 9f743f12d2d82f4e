"""Real signals at any moment of a run: what is saved, and that the run resumes as if it had never been stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file
from torch.nn.modules.module import register_module_forward_pre_hook

from aam_data.options.files import TableOptions
from aam_models.encoder.sample_encoder import SampleEncoder
from aam_train.errors import RunStopped
from aam_train.options.commands import PredictOptions
from aam_train.options.recipe_configs import PredictConfig, PretrainConfig, TrainConfig
from aam_train.recipes.predict import predict
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train
from aam_train.reporting.jsonl import read_records
from aam_train.runs.checkpoints import Checkpoints
from aam_train.signals import Interrupted

Configs = Callable[..., Any]


class Forward:
    """Sends this process signals when the sample encoder runs for the n-th time, counted from 1.

    Attributes:
        training, evaluating: how often it ran, in all.
        at: ("training" or "evaluating", n, signals).
    """

    def __init__(self) -> None:
        self.training = self.evaluating = 0
        self.at: tuple[str, int, tuple[signal.Signals, ...]] | None = None

    def __call__(self, module: torch.nn.Module, _: Any) -> None:
        if not isinstance(module, SampleEncoder):
            return
        kind = "training" if module.training else "evaluating"
        setattr(self, kind, getattr(self, kind) + 1)
        if self.at is not None and self.at[:2] == (kind, getattr(self, kind)):
            for number in self.at[2]:
                os.kill(os.getpid(), number)


@pytest.fixture
def forward() -> Iterator[Forward]:
    hook = Forward()
    handle = register_module_forward_pre_hook(hook)
    yield hook
    handle.remove()


@pytest.fixture
def goes_on(encoder_run: tuple[PretrainConfig, Path], changed: Configs) -> Callable[[PretrainConfig], None]:
    """A function that continues a stopped run and compares it with the one that was never stopped."""

    expected = encoder_run[1]

    def order(run: Path) -> list[tuple[str, int]]:
        return [(record["kind"], record["step"]) for record in read_records(run / "metrics.jsonl")]

    def check(config: PretrainConfig) -> None:
        run = pretrain(changed(config, "run", resume_from="auto"), quiet=True)
        assert order(run) == order(expected)
        for pointer in ("best", "last"):
            weights, wanted = (
                load_file(folder / "checkpoints" / pointer / "model.safetensors") for folder in (run, expected)
            )
            assert all(weights[name].tobytes() == wanted[name].tobytes() for name in wanted)
        assert (run / "report/results.json").read_bytes() == (expected / "report/results.json").read_bytes()

    return check


def stopped_run(config: PretrainConfig, message: str, code: int = 143) -> list[str]:
    """Runs until it is stopped; gives the checkpoints that it leaves."""
    with pytest.raises(RunStopped, match=message) as stop:
        pretrain(config, quiet=True)
    assert stop.value.exit_code == code
    return Checkpoints(config.run.output_dir / "checkpoints").names()


@pytest.fixture
def config(encoder_run: tuple[PretrainConfig, Path], changed: Configs, tmp_path: Path) -> PretrainConfig:
    return changed(encoder_run[0], "run", output_dir=tmp_path / "run")


def test_within_a_step_the_step_is_finished(config: PretrainConfig, forward: Forward, goes_on: Configs) -> None:
    forward.at = ("training", 2, (signal.SIGTERM,))
    assert stopped_run(config, "SIGTERM: stopped after step 2; continue with") == ["step-2"]
    goes_on(config)


def test_within_validation_the_epoch_is_judged_again(
    config: PretrainConfig, forward: Forward, goes_on: Configs
) -> None:
    forward.at = ("evaluating", 4, (signal.SIGUSR1,))  # the first three are the calibration's
    assert stopped_run(config, "SIGUSR1: stopped after step 3", 85) == ["step-3-unjudged"]
    assert forward.training == 3
    assert [r["kind"] for r in read_records(config.run.output_dir / "metrics.jsonl")] == ["step"] * 3
    goes_on(config)


def test_before_the_first_step_nothing_is_saved(config: PretrainConfig, forward: Forward, goes_on: Configs) -> None:
    forward.at = ("evaluating", 1, (signal.SIGINT,))
    assert stopped_run(config, "SIGINT: nothing was saved", 130) == []
    assert forward.training == 0
    goes_on(config)


def signals_within_a_save(monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """So many SIGTERM when the third file of a checkpoint is written; gives the files written so far, as it grows."""
    fsync, written = os.fsync, list[int]()

    def interrupted(descriptor: int) -> None:
        if "/checkpoints/" in os.readlink(f"/proc/self/fd/{descriptor}"):
            written.append(descriptor)
            for _ in range(times if len(written) == 3 else 0):
                os.kill(os.getpid(), signal.SIGTERM)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", interrupted)
    return written


def test_within_a_save_the_save_is_finished(
    config: PretrainConfig, goes_on: Configs, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = signals_within_a_save(monkeypatch, 1)
    assert stopped_run(config, "SIGTERM: stopped after step 3; continue with") == ["step-3"]
    assert len(written) > 3
    monkeypatch.undo()
    goes_on(config)


def test_a_second_signal_stops_at_once(config: PretrainConfig, forward: Forward, goes_on: Configs) -> None:
    forward.at = ("training", 5, (signal.SIGTERM, signal.SIGTERM))
    with pytest.raises(Interrupted) as stop:
        pretrain(config, quiet=True)
    assert stop.value.exit_code == 143
    assert Checkpoints(config.run.output_dir / "checkpoints").names() == ["step-3"]  # the first epoch was the best
    forward.at = None
    goes_on(config)


def test_a_second_signal_within_a_save_leaves_no_half_of_it(
    config: PretrainConfig, goes_on: Configs, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals_within_a_save(monkeypatch, 2)
    with pytest.raises(Interrupted):
        pretrain(config, quiet=True)
    assert list((config.run.output_dir / "checkpoints").iterdir()) == []
    monkeypatch.undo()
    goes_on(config)


def test_within_the_caches_of_a_frozen_encoder(
    train_config: Configs, changed: Configs, encoder_run: tuple[PretrainConfig, Path], forward: Forward, tmp_path: Path
) -> None:
    config = train_config(tmp_path / "run", encoder_run[1], sample=_without_rarefaction(changed, train_config))
    config = changed(config, "transfer", freeze_base=True)
    forward.at = ("evaluating", 1, (signal.SIGTERM,))
    with pytest.raises(RunStopped, match="SIGTERM: nothing was saved"):
        train(config, quiet=True)
    assert (forward.evaluating, forward.training) == (1, 0)


def _without_rarefaction(changed: Configs, train_config: Configs) -> Any:
    return changed(train_config(Path("unused")), "sample", rarefy_depth=0).sample


def test_prediction_writes_nothing(
    number_run: tuple[TrainConfig, Path], files: Path, forward: Forward, tmp_path: Path
) -> None:
    config = PredictConfig(
        TableOptions(files / "table.biom"), PredictOptions(number_run[1], tmp_path / "predictions.tsv", batch_size=5)
    )
    forward.at = ("evaluating", 2, (signal.SIGTERM,))
    with pytest.raises(RunStopped, match="SIGTERM: nothing was saved") as stop:
        predict(config, quiet=True)
    assert stop.value.exit_code == 143
    assert forward.evaluating == 2
    assert list(tmp_path.iterdir()) == []
