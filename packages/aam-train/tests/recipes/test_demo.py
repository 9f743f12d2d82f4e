"""The demo, shortened: every part of it runs and leaves its files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aam_data.options.simulate import SimulateOptions
from aam_train.errors import TrainError
from aam_train.options.commands import DemoOptions
from aam_train.options.recipe_configs import DemoConfig
from aam_train.recipes import demo


def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def short(make: Any) -> Any:
        def build(*arguments: Any) -> Any:
            config = make(*arguments)
            return replace(config, run=replace(config.run, epochs=1))

        return build

    small = partial(SimulateOptions, samples=24, asvs=60, hosts=12, bases=40, depth=500)
    monkeypatch.setattr(demo, "SimulateOptions", small)
    monkeypatch.setattr(demo, "pretrain_config", short(demo.pretrain_config))
    monkeypatch.setattr(demo, "fine_tune_config", short(demo.fine_tune_config))
    monkeypatch.setattr(demo, "DEPTH", 200)
    folder = demo.demo(DemoConfig(DemoOptions(tmp_path / "demo", seed=1)))
    assert {path.name for path in folder.iterdir()} == {
        "demo.png",
        "predictions.tsv",
        "predictions_full.tsv",
        "pretrain",
        "probe",
        "probe-on-encoder",
        "fine-tuned",
        "study",
    }
    assert (folder / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "predictions.tsv").read_text().startswith("sample-id\tprediction\nS01\t")
    text = capsys.readouterr().err
    for line in (
        "1/5 simulate",
        "2/5 a first",
        "3/5 pretrain",
        "4/5 what the encoder adds",
        "5/5 predict",
        "random forest",
    ):
        assert line in text
    with pytest.raises(TrainError, match="the folder is not empty"):
        demo.demo(DemoConfig(DemoOptions(tmp_path / "demo")))
