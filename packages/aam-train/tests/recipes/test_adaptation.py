"""`--adaptation auto`, fine-tuning from a probe, and heads that start where a fixed encoder is best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from aam_data.options.files import TableOptions
from aam_data.options.targets import TargetOptions
from aam_data.splits.splits import read_splits
from aam_models.predictor.predictor import Predictor
from aam_models.storage.model_folder import load_model
from aam_train.options.commands import EmbedOptions
from aam_train.options.objective import TrainObjective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import EmbedConfig
from aam_train.options.run import TransferOptions
from aam_train.recipes.embed import embed
from aam_train.recipes.train import train
from aam_train.setup import predictor_setup
from aam_train.show.run import describe_run
from aam_train.training import fine_tuned_probe
from aam_train.training.fine_tuned_probe import Gain

Configs = Callable[..., Any]
CLASSES = TargetOptions(("status",), classifier=True)


def predictions(run: Path) -> str:
    return (run / "predictions_full.tsv").read_text()


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({}, None),
        ({"target": CLASSES}, None),
        ({"objective": TrainObjective(loss_type="mse")}, None),
        ({"objective": TrainObjective(loss_type="mae")}, "--loss-type mae"),
        ({"objective": TrainObjective(loss_config='{"degree_days": "mse"}')}, "--loss-config"),
        ({"run": {"epochs": 3}}, "--epochs"),
        ({"optimizer": OptimizerOptions(lr=1e-3)}, "--lr"),
    ],
)
def test_auto_is_a_probe_unless_an_option_needs_steps(
    auto_config: Configs, encoder_run: tuple[Any, Path], tmp_path: Path, change: dict[str, Any], because: str | None
) -> None:
    config = auto_config(tmp_path / "run", encoder_run[1], **change)
    assert config.steps_because() == because
    assert config.is_probe == (because is None)


def test_auto_says_what_it_is(
    auto_config: Configs, encoder_run: tuple[Any, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = train(auto_config(tmp_path / "probe", encoder_run[1]))
    assert "--adaptation auto: probe\n" in capsys.readouterr().err
    assert not (probe / "metrics.jsonl").exists()
    steps = train(auto_config(tmp_path / "steps", encoder_run[1], {"epochs": 1}))
    assert "--adaptation auto: fine-tune, because of --epochs\n" in capsys.readouterr().err
    assert (steps / "metrics.jsonl").exists()


def test_fine_tuning_that_changes_nothing_leaves_the_probe(
    auto_config: Configs,
    encoder_run: tuple[Any, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    encoder = encoder_run[1]
    probe = train(auto_config(tmp_path / "probe", encoder), quiet=True)
    monkeypatch.setattr(predictor_setup, "FINE_TUNE_FROM", 1)
    monkeypatch.setattr(fine_tuned_probe, "EPOCHS", 1)
    monkeypatch.setattr(fine_tuned_probe, "RATE", 1e-30)
    tuned = train(auto_config(tmp_path / "tuned", encoder))
    assert "fine-tuning is not kept: validation loss lower by 0.0000" in capsys.readouterr().err
    assert predictions(tuned) == predictions(probe)
    again = train(auto_config(tmp_path / "tuned", encoder, {"resume_from": "auto"}))
    assert "epoch" not in capsys.readouterr().err
    assert predictions(again) == predictions(probe)
    assert dict(describe_run(tuned))["kept"].startswith("the probe that the steps started from")
    assert "kept" not in dict(describe_run(probe))


def test_fine_tuning_that_helps_is_kept_and_resumes(
    auto_config: Configs,
    encoder_run: tuple[Any, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(predictor_setup, "FINE_TUNE_FROM", 1)
    monkeypatch.setattr(fine_tuned_probe, "RATE", 3e-3)
    tuned = train(auto_config(tmp_path / "tuned", encoder_run[1]))
    assert "fine-tuning is kept: validation loss lower by" in capsys.readouterr().err
    assert (tuned / "checkpoints" / "best").readlink().name != "step-0"
    before = predictions(tuned)
    checkpoints = tuned / "checkpoints"
    assert (checkpoints / "best").readlink() != (checkpoints / "last").readlink()
    for resumed in ("auto", str(checkpoints / "best")):  # at its end, and in the middle of its steps
        train(auto_config(tmp_path / "tuned", encoder_run[1], {"resume_from": resumed}))
        assert "fine-tuning is kept" in capsys.readouterr().err
        assert predictions(tuned) == before


def test_a_gain_counts_groups_not_samples() -> None:
    gain = Gain.of(np.array([1.0, 1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 0, 1, 2]))
    # deviations from the mean of 0.6 add up to 1.2, -0.6 and -0.6 in the three groups
    assert gain.mean == pytest.approx(0.6)
    assert gain.error == pytest.approx(np.sqrt((1.44 + 0.36 + 0.36) * 3 / 2) / 5)
    assert gain.is_clear
    assert not Gain.of(np.ones(4), np.zeros(4, dtype=np.int64)).is_clear  # one group proves nothing
    single = np.array([0.5, -0.1, 0.3, 0.2])
    each = Gain.of(single, np.arange(4))
    assert each.error == pytest.approx(single.std(ddof=1) / 2)


def test_a_linear_head_starts_at_the_fit_of_scikit_learn(
    auto_config: Configs, encoder_run: tuple[Any, Path], files: Path, tmp_path: Path
) -> None:
    sections = {
        "target": CLASSES,
        "transfer": TransferOptions(encoder_run[1], adaptation="fine-tune", freeze_base=True, baselines="none"),
        "optimizer": OptimizerOptions(lr=1e-30),
    }
    run = train(auto_config(tmp_path / "run", encoder_run[1], {"epochs": 1}, **sections), quiet=True)
    embed(EmbedConfig(TableOptions(files / "table.biom"), EmbedOptions(run, tmp_path / "e.npz")), quiet=True)
    stored = np.load(tmp_path / "e.npz")
    with torch.no_grad():
        normed = torch.nn.functional.layer_norm(torch.from_numpy(stored["embeddings"]), stored["embeddings"].shape[1:])
    of_sample = dict(zip(stored["ids"].tolist(), normed.double().numpy(), strict=True))
    rows = [line.split("\t") for line in (files / "metadata.tsv").read_text().splitlines()]
    status = {row[0]: row[rows[0].index("status")] for row in rows[1:]}
    known = list(read_splits(run / "splits.tsv").train)
    x, y = np.array([of_sample[i] for i in known]), [status[i] for i in known]
    model = load_model(run / "checkpoints" / "best")
    assert isinstance(model, Predictor)
    found = model.state_dict()["head.0.weight"].double().numpy()
    scale = np.sqrt(x.var(axis=0).sum())
    fits = [
        LogisticRegression(C=10.0 ** (-k / 2), tol=1e-10, max_iter=10_000).fit((x - x.mean(axis=0)) / scale, y)
        for k in range(6, -5, -1)
    ]
    errors = [np.abs(fit.coef_[0] / scale - (found[1] - found[0])).max() for fit in fits]
    assert min(errors) < 1e-4
