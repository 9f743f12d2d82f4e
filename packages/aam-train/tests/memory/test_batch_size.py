"""Runs with a memory limit or an automatic batch size."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from aam_models.config.encoder import ModelOptions
from aam_train.errors import TrainError
from aam_train.files import read_json_object
from aam_train.memory.cost_model import MemoryModel
from aam_train.options.compute import ComputeOptions
from aam_train.options.memory import MemoryOptions
from aam_train.options.objective import PretrainObjective
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.recipes.pretrain import pretrain
from aam_train.reporting.jsonl import read_records
from aam_train.runs.checkpoints import LAST
from aam_train.runs.records import read_training
from aam_train.show.run import describe_run


def losses(run: Path) -> list[float]:
    return [record["loss"]["total"] for record in read_records(run / "metrics.jsonl") if record["kind"] == "step"]


def test_a_generous_limit_changes_nothing(pretrain_config: Callable[..., PretrainConfig], tmp_path: Path) -> None:
    plain = pretrain(pretrain_config(tmp_path / "plain"), quiet=True)
    limited = pretrain(pretrain_config(tmp_path / "limited", memory=MemoryOptions(max_memory_gb=4.0)), quiet=True)
    assert losses(limited) == losses(plain)


def test_smaller_micro_batches_make_the_same_steps(
    pretrain_config: Callable[..., PretrainConfig], tmp_path: Path
) -> None:
    """Without distances, whose pairs depend on the micro-batches, the losses are equal."""
    objective = PretrainObjective(unifrac_weight=0.0)
    run = {"batch_size": 14, "seed": 5}
    plain = pretrain(pretrain_config(tmp_path / "plain", run, objective=objective), quiet=True)
    memory = MemoryOptions(target_effective_batch_size=14)
    parts = pretrain_config(tmp_path / "parts", {"batch_size": 3, "seed": 5}, objective=objective, memory=memory)
    assert losses(pretrain(parts, quiet=True)) == pytest.approx(losses(plain), rel=1e-5)


def test_the_chosen_size_is_kept_when_the_run_resumes(
    pretrain_config: Callable[..., PretrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def settings(folder: str, epochs: int, resume: str | None = None) -> PretrainConfig:
        run = {"epochs": epochs, "batch_size": 32, "resume_from": resume, "patience": 0}
        memory = MemoryOptions(auto_batch_size=True, max_memory_gb=0.4)
        model = ModelOptions(preset="tiny", embedding_dim=128, attention_heads=2, attention_layers=4)
        constant = OptimizerOptions(scheduler="cosine", warmup_steps=0, lr=1e-3)
        return pretrain_config(tmp_path / folder, run, memory=memory, model=model, optimizer=constant)

    run = pretrain(settings("run", 2))
    text = capsys.readouterr().err
    found = read_json_object(run / "checkpoints" / LAST / "train_state.json")["batching"]
    n_train = read_training(run / "checkpoints" / LAST).samples["train"]
    assert 1 <= found["batch_size"] <= n_train
    assert f"batch size {found['batch_size']}: training may use up to 0.4 GB more than now (measured on " in text
    assert found["limit"] == 4e8
    assert asdict(MemoryModel(**found["model"])) == found["model"]
    assert f"up to {found['batch_size']:,} samples per process, within 0.4 GB" in dict(describe_run(run))["batches"]
    pretrain(settings("run", 3, "auto"))
    assert "memory: a batch" not in capsys.readouterr().err
    again = read_json_object(run / "checkpoints" / LAST / "train_state.json")
    assert again["batching"] == found
    assert again["step"] == 3 * -(-n_train // found["batch_size"])


def test_samples_that_cannot_fit_are_named_with_remedies(
    pretrain_config: Callable[..., PretrainConfig], tmp_path: Path
) -> None:
    config = pretrain_config(tmp_path / "run", memory=MemoryOptions(max_memory_gb=1e-5))
    message = r"--max-memory-gb 1e-05: training may use 1e-05 GB, but \d+ samples need more even one by one: "
    message += r"S\d+ \(\d+ ASVs\), .*Allow more, or use {}a smaller --asv-chunk-size"
    with pytest.raises(TrainError, match=message.format("(?!.*--gradient-checkpointing).*")):
        pretrain(config, quiet=True)
    compute = ComputeOptions(gradient_checkpointing=False)
    keeping = pretrain_config(tmp_path / "keeping", memory=config.memory, compute=compute)
    with pytest.raises(TrainError, match=message.format("--gradient-checkpointing, or ")):
        pretrain(keeping, quiet=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_memory_fraction": 0.5}, "--max-memory-fraction 0.5 only applies with --auto-batch-size"),
        ({"auto_batch_size": True, "max_memory_fraction": 1.5}, "must be above 0 and at most 1"),
        ({"target_effective_batch_size": 0}, "--target-effective-batch-size 0: must be 1 or more"),
        ({"max_memory_gb": 0.0}, "--max-memory-gb 0.0: must be a number above 0"),
    ],
)
def test_values_out_of_range_are_errors(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        MemoryOptions(**values)  # type: ignore[arg-type]


def test_options_that_cannot_be_combined(pretrain_config: Callable[..., PretrainConfig], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--batch-size 5 and --auto-batch-size cannot be combined"):
        pretrain_config(tmp_path, memory=MemoryOptions(auto_batch_size=True))
    run = {"gradient_accumulation_steps": 2}
    with pytest.raises(ValueError, match="--gradient-accumulation-steps and --target-effective-batch-size cannot"):
        pretrain_config(tmp_path, run, memory=MemoryOptions(target_effective_batch_size=8))
    assert ComputeOptions().gradient_checkpointing is None
