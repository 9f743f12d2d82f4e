"""`--profile`: records some steps and does not change the run."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from aam_train.errors import RunStopped
from aam_train.options.compute import ComputeOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.profiling.profile import Profile, kind_of, lines, operations, phase_times, window
from aam_train.profiling.ranges import record_each, record_range, recording
from aam_train.recipes import launch
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.records import Reporters, StepRecord

CPU = torch.device("cpu")
PROFILED = ComputeOptions(profile=True)
PHASES = {"load", "forward", "backward", "optimizer"}


def trace_of(run: Path) -> list[dict[str, Any]]:
    with gzip.open(run / "profile" / "trace.json.gz", "rt") as file:
        return json.load(file)["traceEvents"]


def steps_in(run: Path) -> int:
    names = [event.get("name") for event in trace_of(run) if event.get("cat") == "user_annotation"]
    assert set(names) >= PHASES
    return names.count("optimizer")


def test_pretraining_reports_the_slowest_operations_and_is_otherwise_unchanged(
    pretrain_config: Callable[..., PretrainConfig],
    encoder_run: tuple[PretrainConfig, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = pretrain(pretrain_config(tmp_path / "run", compute=PROFILED))
    assert steps_in(run) == 1  # of three steps an epoch: two warm up
    with (run / "profile" / "operations.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, dialect="excel-tab"))
    kinds = {row["kind"] for row in rows}
    assert kinds >= {"attention", "matrix products", "normalisation", "optimizer", "activation"}
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1.0, abs=0.01)
    assert PHASES & {row["operation"] for row in rows} == set()
    printed = capsys.readouterr().err
    assert "profile of 1 step, " in printed
    assert "time of operations (CPU): " in printed
    assert all(row["operation"][:50] in printed for row in rows[:5])  # the slowest; long names are cut
    weights = [(path / "checkpoints/last/model.safetensors").read_bytes() for path in (run, encoder_run[1])]
    assert weights[0] == weights[1]
    assert not (encoder_run[1] / "profile").exists()


def test_training_can_profile_time_and_memory_together(
    train_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    compute = ComputeOptions(profile=True, memory_profile=True)
    run = train(train_config(tmp_path / "run", compute=compute, run={"batch_size": 1, "epochs": 1}), quiet=True)
    assert steps_in(run) == 5
    assert (run / "memory.json").exists()


class Interrupting(ConsoleReporter):
    """Reporter that sends this process a signal within the second recorded step."""

    def step(self, record: StepRecord) -> None:
        super().step(record)
        if record.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_keeps_the_recorded_steps_and_the_run_resumes(
    pretrain_config: Callable[..., PretrainConfig],
    changed: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = pretrain_config(tmp_path / "run", compute=PROFILED, run={"batch_size": 2, "resume_from": "auto"})
    with monkeypatch.context() as patch:
        patch.setattr(launch, "ConsoleReporter", Interrupting)
        with pytest.raises(RunStopped):
            pretrain(config, quiet=True)
    assert steps_in(tmp_path / "run") == 2
    whole = pretrain(changed(config, "run", output_dir=tmp_path / "whole", resume_from=None), quiet=True)
    run = pretrain(config, quiet=True)
    assert steps_in(run) > 0
    assert not list((run / "profile").glob(".*"))
    weights = [(path / "checkpoints/last/model.safetensors").read_bytes() for path in (run, whole)]
    assert weights[0] == weights[1]
    # the run also resumes without a profile
    config = changed(changed(config, "compute", profile=False), "run", epochs=3)
    pretrain(config, quiet=True)


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    profile = Profile(tmp_path, CPU, Reporters(), first=0, per_epoch=1, total=2)

    def fail() -> None:
        with profile:
            profile.before(0)
            raise ValueError("the step")

    with pytest.raises(ValueError, match="the step"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with torch.profiler.profile():  # fails while another one is active
        pass


@pytest.mark.parametrize(
    ("first", "per_epoch", "total", "expected"),
    [
        (0, 100, 1000, (3, 8)),
        (0, 1, 1, (0, 1)),
        (0, 3, 6, (2, 3)),
        (0, 6, 12, (3, 6)),
        (95, 100, 1000, (103, 108)),  # the next epoch has more
        (95, 100, 100, (98, 100)),
        (99, 100, 100, (99, 100)),
        (100, 100, 100, (100, 100)),  # nothing is left
    ],
)
def test_which_steps(first: int, per_epoch: int, total: int, expected: tuple[int, int]) -> None:
    assert window(first, per_epoch, total) == expected


def test_kinds_and_lines() -> None:
    def event(name: str, count: int, cpu: float, device: float = 0.0, whole: float = 0.0) -> Any:
        kind = torch.autograd.DeviceType.CPU
        return SimpleNamespace(
            key=name, count=count, self_cpu_time_total=cpu, self_device_time_total=device, device_type=kind,
            cpu_time_total=whole or cpu,
        )  # fmt: skip

    kernel = event("sm90_gemm", 7, 0.0, 6000.0)
    kernel.device_type = torch.autograd.DeviceType.CUDA
    events = [event("aten::addmm", 7, 1000.0, 6000.0), event("aten::gelu", 2, 3000.0, 2000.0), kernel,
              event("load", 2, 100.0, 0.0, 2000.0)]  # fmt: skip
    found, phases = operations(events), phase_times(events)
    assert [(o.kind, o.name, o.calls) for o in found] == [
        ("matrix products", "aten::addmm", 7),
        ("activation", "aten::gelu", 2),
    ]
    assert phases == {"load": 2.0, "forward": 0.0, "backward": 0.0, "optimizer": 0.0}
    on_cpu = lines(found, phases, 20.0, 2, on_device=False)
    assert on_cpu[0] == "profile of 2 steps, 10.0 ms each: load 10%, forward 0%, backward 0%, optimizer 0%"
    assert on_cpu[1] == "time of operations (CPU): activation 75%, matrix products 25%"
    assert on_cpu[3].split() == ["aten::gelu", "2", "3.0", "2.0", "75.0%"]
    assert lines(found, phases, 20.0, 2, on_device=True)[1] == (
        "time of operations (device): matrix products 75%, activation 25%"
    )
    names = {
        "aten::_scaled_dot_product_flash_attention_for_cpu": "attention",
        "aten::native_layer_norm_backward": "normalisation",
        "aten::mm": "matrix products",
        "aten::_fused_adamw_": "optimizer",
        "CompiledFunctionBackward": "compiled",
        "aten::copy_": "copies",
        "aten::embedding_dense_backward": "embedding and indexing",
        "aten::add_": "sums and elementwise",
        "cudaStreamSynchronize": "waiting for the device",
        "enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__": "waiting for data",
        "FSDP::all_gather": "communication",
        "detach": "other",
    }
    assert {name: kind_of(name) for name in names} == names


def test_ranges_are_only_written_while_recording() -> None:
    with torch.profiler.profile() as recorder:
        with record_range("quiet"):
            torch.ones(3)
        with recording(), record_range("heard"):
            torch.ones(3)
        with recording():
            assert list(record_each("making", iter([1, 2]))) == [1, 2]
    counts = {event.key: event.count for event in recorder.key_averages()}
    assert "quiet" not in counts
    assert (counts["heard"], counts["making"]) == (1, 3)
