"""`--memory-profile`: the peaks of each phase; it does not change the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aam_train.memory.profile import MemoryProfile, suggestions
from aam_train.options.compute import ComputeOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train

CPU = torch.device("cpu")
PHASES = ["model creation", "transfer", "forward", "backward", "optimizer step"]
MB = 10**6
on_linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of a phase need Linux")


@on_linux
def test_a_peak_belongs_to_the_phase_that_needs_it() -> None:
    memory = MemoryProfile(CPU)
    with memory.phase("small"):
        torch.ones(1000)
    with memory.phase("large"):
        torch.ones(100 * MB // 4)  # gone when the phase ends
    with memory.phase("after"):
        torch.ones(1000)
    memory.end_step()
    grown = memory.peaks["large"] - memory.peaks["small"]
    assert 90 * MB < grown < 120 * MB
    assert memory.peaks["after"] < memory.peaks["large"] - 50 * MB
    assert memory.resident < memory.peaks["large"] - 50 * MB
    assert memory.total > memory.peaks["large"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_peaks_of_a_gpu_are_what_is_allocated() -> None:
    memory = MemoryProfile(torch.device("cuda:0"))
    before = torch.cuda.memory_allocated()
    with memory.phase("large"):
        torch.ones(100 * MB // 4, device="cuda")
    assert memory.peaks["large"] - before == pytest.approx(100 * MB, rel=0.03)


def test_a_pretraining_writes_and_tells_its_peaks_and_is_otherwise_the_same(
    pretrain_config: Callable[..., PretrainConfig],
    encoder_run: tuple[PretrainConfig, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = pretrain(pretrain_config(tmp_path / "run", compute=ComputeOptions(memory_profile=True)))
    found = json.loads((run / "memory.json").read_text())
    assert list(found["peaks"]) == PHASES
    assert found["steps"] == 6
    assert found["settings"]["batch_size"] == 5
    assert 0 < found["resident_bytes"] <= max(found["peaks"].values()) < found["total_bytes"]
    printed = capsys.readouterr().err
    assert [name for name in PHASES if f"memory, {name}: " in printed] == PHASES
    assert "memory: the peak is in " in printed
    weights = [(path / "checkpoints/last/model.safetensors").read_bytes() for path in (run, encoder_run[1])]
    assert weights[0] == weights[1]
    assert not (encoder_run[1] / "memory.json").exists()


def test_a_training_does_so_too(train_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    run = train(train_config(tmp_path / "run", compute=ComputeOptions(memory_profile=True)), quiet=True)
    assert list(json.loads((run / "memory.json").read_text())["peaks"]) == PHASES


def settings(**changes: Any) -> dict[str, Any]:
    return {"batch_size": 32, "mixed_precision": "none", "gradient_checkpointing": False, **changes}


def test_suggestions_follow_from_the_measurements() -> None:
    peaks = {"forward": 30, "backward": 34}
    assert suggestions(peaks, 2, 128, settings(), on_gpu=True) == [
        "the peak is in backward",
        "there is room: --batch-size up to about 100 would fit",  # 32 (0.8 x 128 - 2) / (34 - 2)
    ]
    assert suggestions(peaks, 2, 128, settings(), on_gpu=False) == ["the peak is in backward"]
    assert "up to about 256 would" in suggestions(peaks, 2, 10**6, settings(), on_gpu=True)[1]  # eight times, no more
    tight = suggestions(peaks, 2, 40, settings(), on_gpu=True)
    assert [text.split()[0] for text in tight[1:]] == ["--gradient-checkpointing", "--mixed-precision", "--batch-size"]
    assert "--batch-size 16 with twice" in tight[-1]
    done = suggestions(peaks, 2, 40, settings(mixed_precision="bf16", gradient_checkpointing=True), on_gpu=True)
    assert len(done) == 2
    assert any("smaller --preset" in text for text in suggestions(peaks, 30, 60, settings(), on_gpu=True))
