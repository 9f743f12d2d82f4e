"""Interrupted, resumed, repeated: the same bits as a run that was never stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from aam_data.options.metadata_inputs import CategoryOptions
from aam_models.config.conditioning import ConditioningOptions
from aam_train.errors import RunStopped, TrainError
from aam_train.options.optimizer import CategoryOptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.recipes import launch
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.jsonl import read_records
from aam_train.reporting.records import StepRecord
from aam_train.runs.checkpoints import Checkpoints

TIMES = {
    "seconds",
    "validation_seconds",
    "samples_per_second",
    "asvs_per_second",
    "data_wait",
    "flops_per_second",
    "peak_flops",
    "peak_share",
    "peak_memory",
}
Configs = Callable[..., Any]


class Interrupting(ConsoleReporter):
    """Sends this process a signal when a certain step is reported."""

    at: int
    number = signal.SIGTERM

    def step(self, record: StepRecord) -> None:
        super().step(record)
        if record.step == self.at:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function that says after which step the next run is interrupted; 0 = not at all."""

    def after(step: int, number: signal.Signals = signal.SIGTERM) -> None:
        reporter = type("Reporter", (Interrupting,), {"at": step, "number": number})
        monkeypatch.setattr(launch, "ConsoleReporter", reporter)

    return after


def records(run: Path) -> list[dict[str, Any]]:
    """What was reported, without times."""
    return [{k: v for k, v in record.items() if k not in TIMES} for record in read_records(run / "metrics.jsonl")]


def assert_same_run(run: Path, expected: Path) -> None:
    """The same bits: weights, optimizer, state, metrics, results."""
    assert records(run) == records(expected)
    for pointer in ("last", "best"):
        folders = [folder / "checkpoints" / pointer for folder in (run, expected)]
        assert folders[0].resolve().name == folders[1].resolve().name
        for name in ("model.safetensors", "train_state.safetensors"):
            found, wanted = (load_file(folder / name) for folder in folders)
            assert found.keys() == wanted.keys()
            assert {key for key in wanted if found[key].tobytes() != wanted[key].tobytes()} == set()
        states = [json.loads((folder / "train_state.json").read_text()) for folder in folders]
        assert states[0] == states[1]
    for name in ("report/results.json", "splits.tsv", "predictions.tsv", "predictions_full.tsv"):
        if (expected / name).exists():
            assert (run / name).read_bytes() == (expected / name).read_bytes(), name


def test_pretraining_stopped_after_every_step(
    encoder_run: tuple[PretrainConfig, Path], changed: Configs, interrupt: Callable[[int], None], tmp_path: Path
) -> None:
    """One run in seven pieces, with rarefaction, masked bases and hidden counts."""
    config, expected = encoder_run
    (tmp_path / "run").mkdir()  # "auto" begins anew where there is nothing
    config = changed(config, "run", output_dir=tmp_path / "run", resume_from="auto")
    steps = [record["step"] for record in records(expected) if record["kind"] == "step"]
    assert steps == list(range(1, 7))
    for step in steps:
        interrupt(step)
        with pytest.raises(RunStopped, match=f"SIGTERM: stopped after step {step}; continue with") as stop:
            pretrain(config, quiet=True)
        assert stop.value.exit_code == 143
        assert not (tmp_path / "run" / "report" / "results.json").exists()
    interrupt(0)
    assert_same_run(pretrain(config, quiet=True), expected)


def test_training_stopped_after_every_step(
    number_run: tuple[TrainConfig, Path], changed: Configs, interrupt: Callable[[int], None], tmp_path: Path
) -> None:
    """With a pretrained encoder and dropout; the same command every time."""
    config, expected = number_run
    config = changed(config, "run", output_dir=tmp_path / "run", resume_from="auto")
    for step in range(1, 7):
        interrupt(step)
        with pytest.raises(RunStopped):
            train(config, quiet=True)
    interrupt(0)
    assert_same_run(train(config, quiet=True), expected)


@pytest.mark.parametrize(
    ("optimizer", "run", "compute"),
    [
        ({"scheduler": "cosine", "optimizer": "adam"}, {"gradient_accumulation_steps": 2, "batch_size": 3}, {}),
        ({"scheduler": "cosine_restarts", "optimizer": "sgd", "scheduler_t0": 2}, {}, {}),
        ({"scheduler": "plateau", "scheduler_patience": 0, "lr": 0.1}, {"epochs": 4, "batch_size": 10}, {}),
        ({"scheduler": "onecycle"}, {}, {"mixed_precision": "bf16", "gradient_checkpointing": True}),
        ({}, {}, {"mixed_precision": "fp16", "deterministic": True}),
    ],
    ids=["cosine", "restarts", "plateau", "onecycle", "fp16"],
)
def test_every_schedule_and_precision_stopped_after_every_step(
    pretrain_config: Configs,
    changed: Configs,
    interrupt: Callable[[int], None],
    tmp_path: Path,
    optimizer: dict[str, Any],
    run: dict[str, Any],
    compute: dict[str, Any],
) -> None:
    config = pretrain_config(tmp_path / "whole", run=run)
    config = changed(changed(config, "optimizer", **optimizer), "compute", **compute)
    interrupt(0)
    expected = pretrain(config, quiet=True)
    steps = [record["step"] for record in records(expected) if record["kind"] == "step"]
    assert len(steps) >= 6
    config = changed(config, "run", output_dir=tmp_path / "run", resume_from="auto")
    for step in steps:
        interrupt(step)
        with pytest.raises(RunStopped):
            pretrain(config, quiet=True)
    interrupt(0)
    assert_same_run(pretrain(config, quiet=True), expected)
    if optimizer.get("scheduler") == "plateau":
        rates = {record["lr"] for record in records(expected) if record["kind"] == "step"}
        assert len(rates) > 1, "the plateau did not lower the rate, so nothing was shown"


def test_another_signal_and_an_explicit_checkpoint(
    number_run: tuple[TrainConfig, Path], changed: Configs, interrupt: Callable[..., None], tmp_path: Path
) -> None:
    config, expected = number_run
    config = changed(config, "run", output_dir=tmp_path / "run")
    interrupt(4, signal.SIGUSR1)
    with pytest.raises(RunStopped, match="SIGUSR1") as stop:
        train(config, quiet=True)
    assert stop.value.exit_code == 85
    interrupt(0)
    last = tmp_path / "run" / "checkpoints" / "last"
    assert_same_run(train(changed(config, "run", resume_from=str(last)), quiet=True), expected)


def test_the_same_seed_gives_the_same_bits_with_0_and_2_workers(
    encoder_run: tuple[PretrainConfig, Path], changed: Configs, tmp_path: Path
) -> None:
    config, expected = encoder_run
    for workers in (0, 2):
        again = changed(config, "run", output_dir=tmp_path / str(workers), num_workers=workers)
        assert_same_run(pretrain(again, quiet=True), expected)


def test_another_seed_gives_another_run(
    encoder_run: tuple[PretrainConfig, Path], changed: Configs, tmp_path: Path
) -> None:
    config, first = encoder_run
    other = pretrain(changed(config, "run", output_dir=tmp_path / "run", seed=43), quiet=True)
    assert (other / "splits.tsv").read_bytes() != (first / "splits.tsv").read_bytes()
    weights = [load_file(run / "checkpoints" / "last" / "model.safetensors") for run in (first, other)]
    assert all((weights[0][name] != weights[1][name]).any() for name in weights[0] if name.endswith("qkv.weight"))


@pytest.fixture
def stopped(
    encoder_run: tuple[PretrainConfig, Path], changed: Configs, interrupt: Callable[[int], None], tmp_path: Path
) -> PretrainConfig:
    """A run that was stopped after step 4 of 6, and whose best checkpoint is of step 3."""
    config = changed(encoder_run[0], "run", output_dir=tmp_path / "run")
    interrupt(4)
    with pytest.raises(RunStopped):
        pretrain(config, quiet=True)
    interrupt(0)
    assert Checkpoints(tmp_path / "run" / "checkpoints").names() == ["step-3", "step-4"]
    return changed(config, "run", resume_from="auto")


def test_a_new_learning_rate_is_honoured(stopped: PretrainConfig, changed: Configs) -> None:
    run = stopped.run.output_dir
    before = [record["lr"] for record in records(run)]
    pretrain(changed(stopped, "optimizer", lr=1e-4), quiet=True)
    steps = [record for record in records(run) if record["kind"] == "step"]
    assert [record["lr"] for record in records(run)][: len(before)] == before
    # a cosine over 6 steps without warm-up, at steps 4 and 5
    assert [record["lr"] for record in steps[4:]] == pytest.approx([1e-4 * 0.25, 1e-4 * (0.5 - 0.75**0.5 / 2)])
    assert "lr = 0.0001" in (run / "config.toml").read_text()


def test_another_run_is_refused_with_the_difference(
    stopped: PretrainConfig, changed: Configs, files: Path, tmp_path: Path
) -> None:
    run = stopped.run.output_dir
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(TrainError, match=r"cannot be resumed with other settings: --seed was 42, is 7$"):
        pretrain(changed(stopped, "run", seed=7), quiet=True)
    other = changed(changed(stopped, "model", embedding_dim=32), "masking", nuc_mask_ratio=0.2)
    with pytest.raises(TrainError, match=r"--embedding-dim was 16, is 32; --nuc-mask-ratio was 0.15, is 0.2$"):
        pretrain(other, quiet=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_changed_input_is_refused(
    pretrain_config: Configs, changed: Configs, interrupt: Callable[[int], None], files: Path, tmp_path: Path
) -> None:
    shutil.copytree(files, tmp_path / "study")
    config = pretrain_config(tmp_path / "run")
    config = changed(config, "phylogeny", tree=tmp_path / "study" / "tree.nwk")
    interrupt(2)
    with pytest.raises(RunStopped):
        pretrain(config, quiet=True)
    interrupt(0)
    tree = config.phylogeny.tree
    tree.write_text(tree.read_text().replace(":0.0", ":0.1", 1))
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(TrainError, match=r"tree.nwk: the file has changed since the run started"):
        pretrain(changed(config, "run", resume_from="auto", patience=3), quiet=True)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_another_pretrained_encoder_under_the_same_name_is_refused(
    train_config: Configs,
    changed: Configs,
    interrupt: Callable[[int], None],
    encoder_run: tuple[PretrainConfig, Path],
    tmp_path: Path,
) -> None:
    encoder = tmp_path / "encoder"
    shutil.copytree(encoder_run[1], encoder, symlinks=True)
    config = train_config(tmp_path / "run", encoder)
    interrupt(2)
    with pytest.raises(RunStopped):
        train(config, quiet=True)
    interrupt(0)
    shutil.rmtree(encoder)
    pretrain(changed(encoder_run[0], "run", output_dir=encoder, epochs=1), quiet=True)
    with pytest.raises(TrainError, match=r"model.safetensors: the file has changed since the run started"):
        train(changed(config, "run", resume_from="auto"), quiet=True)


def test_what_is_no_checkpoint_of_the_run_is_refused(
    stopped: PretrainConfig, changed: Configs, encoder_run: tuple[PretrainConfig, Path]
) -> None:
    for wrong in (encoder_run[1] / "checkpoints" / "best", stopped.run.output_dir, Path("nowhere")):
        with pytest.raises(TrainError, match="not a checkpoint of --output-dir"):
            pretrain(changed(stopped, "run", resume_from=str(wrong)), quiet=True)


def test_auto_begins_again_when_the_run_died_before_its_first_checkpoint(
    stopped: PretrainConfig, encoder_run: tuple[PretrainConfig, Path]
) -> None:
    checkpoints = stopped.run.output_dir / "checkpoints"
    shutil.rmtree(checkpoints)
    (checkpoints / ".step-3.0123abcd.tmp").mkdir(parents=True)
    (checkpoints / ".step-3.0123abcd.tmp" / "config.json").write_text("{")
    assert_same_run(pretrain(stopped, quiet=True), encoder_run[1])
    assert sorted(path.name for path in checkpoints.iterdir() if path.name.startswith(".")) == []


def test_a_damaged_newest_checkpoint_falls_back_to_an_older_one(
    stopped: PretrainConfig, encoder_run: tuple[PretrainConfig, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    weights = stopped.run.output_dir / "checkpoints" / "step-4" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    run = pretrain(stopped, quiet=True)
    assert "warning: skipping damaged checkpoint step-4; resuming from step-3" in capsys.readouterr().err
    assert_same_run(run, encoder_run[1])


def test_starting_anew_for_want_of_an_undamaged_checkpoint_is_said(
    stopped: PretrainConfig, encoder_run: tuple[PretrainConfig, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for weights in (stopped.run.output_dir / "checkpoints").glob("step-*/model.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-1])
    run = pretrain(stopped, quiet=True)
    said = capsys.readouterr().err
    assert re.search(r"warning: no checkpoint is undamaged \(step-\d.*\), so the run starts anew", said)
    assert_same_run(run, encoder_run[1])


def test_a_lost_best_checkpoint_is_said_and_replaced(
    stopped: PretrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(stopped.run.output_dir / "checkpoints")
    shutil.rmtree(checkpoints.folder / "step-3")
    pretrain(stopped, quiet=True)
    assert "warning: the best checkpoint so far, step-3, is gone" in capsys.readouterr().err
    assert checkpoints.resolve("best") == "step-6"


def test_pointers_that_a_crash_left_behind_are_put_right(
    stopped: PretrainConfig, changed: Configs, encoder_run: tuple[PretrainConfig, Path]
) -> None:
    """Killed between publishing step 3 as the best and letting `best` point to it."""
    checkpoints = Checkpoints(stopped.run.output_dir / "checkpoints")
    shutil.rmtree(checkpoints.folder / "step-4")
    for pointer in ("best", "last"):
        (checkpoints.folder / pointer).unlink()
    assert_same_run(pretrain(stopped, quiet=True), encoder_run[1])


def test_a_finished_run_is_not_trained_again_and_may_be_prolonged(
    encoder_run: tuple[PretrainConfig, Path], changed: Configs, tmp_path: Path
) -> None:
    config, expected = encoder_run
    shutil.copytree(expected, tmp_path / "run", symlinks=True)
    config = changed(config, "run", output_dir=tmp_path / "run", resume_from="auto")
    checkpoint = (tmp_path / "run" / "checkpoints" / "last" / "manifest.json").stat().st_mtime_ns
    assert_same_run(pretrain(config, quiet=True), expected)
    assert (tmp_path / "run" / "checkpoints" / "last" / "manifest.json").stat().st_mtime_ns == checkpoint
    pretrain(changed(config, "run", epochs=3), quiet=True)
    assert [r["step"] for r in records(tmp_path / "run") if r["kind"] == "step"] == list(range(1, 10))


def test_cross_validation_keeps_its_finished_folds(
    train_config: Configs, changed: Configs, interrupt: Callable[[int], None], tmp_path: Path
) -> None:
    config = train_config(tmp_path / "whole", run={"epochs": 1})
    config = changed(config, "transfer", cv=2)
    expected = train(config, quiet=True)
    n_steps = [len([r for r in records(expected / f"fold-{fold}") if r["kind"] == "step"]) for fold in (1, 2)]
    config = changed(config, "run", output_dir=tmp_path / "run")
    interrupt(n_steps[0])  # at the very end of the first fold
    with pytest.raises(RunStopped):
        train(config, quiet=True)
    assert not (tmp_path / "run" / "fold-2").exists()
    config = changed(config, "run", resume_from="auto")
    interrupt(1)  # the first fold is finished, so this is in the second one
    with pytest.raises(RunStopped):
        train(config, quiet=True)
    interrupt(0)
    run = train(config, quiet=True)
    for fold in ("fold-1", "fold-2"):
        assert_same_run(run / fold, expected / fold)
    for name in ("predictions.tsv", "predictions_full.tsv", "report/results.json"):
        assert (run / name).read_bytes() == (expected / name).read_bytes()


def test_training_with_metadata_as_input_stopped_in_between(
    train_config: Configs, interrupt: Callable[[int], None], tmp_path: Path
) -> None:
    """Embeddings of categories, a fusion, weights of the loss and a learning rate of their own."""
    sections = {
        "category": CategoryOptions(("location,season",), ("age",), None, "auto", "location"),
        "conditioning": ConditioningOptions(categorical_fusion="gmu"),
        "category_optimizer": CategoryOptimizerOptions(1e-2),
    }
    interrupt(0)
    expected = train(train_config(tmp_path / "whole", **sections), quiet=True)
    config = train_config(tmp_path / "run", run={"resume_from": "auto"}, **sections)
    for step in (1, 4):
        interrupt(step)
        with pytest.raises(RunStopped):
            train(config, quiet=True)
    interrupt(0)
    assert_same_run(train(config, quiet=True), expected)
