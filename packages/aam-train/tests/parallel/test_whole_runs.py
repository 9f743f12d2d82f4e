"""Whole runs on several processes: launching, failures of one process, and resuming."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from aam_data.options.metadata_inputs import CategoryOptions
from aam_models.config.predictor_options import HeadOptions
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.toml import config_to_toml
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train
from aam_train.reporting.jsonl import read_records

Configs = Callable[..., Any]
Run = Callable[..., list[str]]
Start = Callable[..., list[subprocess.Popen[str]]]
SECONDS = 300  # that anything here may need at most; machines may be busy


@pytest.fixture
def two(pretrain_config: Configs, changed: Configs, tmp_path: Path) -> tuple[PretrainConfig, Path]:
    """Config of a pretraining run on two processes with 3 samples each (and 6 on one), and its file."""
    config = pretrain_config(tmp_path / "run", run={"batch_size": 3, "resume_from": "auto"})
    config = changed(config, "parallel", distributed=True)
    return config, write(config, tmp_path / "config.toml")


def write(config: PretrainConfig | TrainConfig, path: Path) -> Path:
    path.write_text(config_to_toml(config), encoding="utf-8")
    return path


def losses(run: Path) -> list[float]:
    return [record["loss"]["total"] for record in read_records(run / "metrics.jsonl") if record["kind"] == "step"]


def last(run: Path) -> dict[str, np.ndarray]:
    folder = (run / "checkpoints" / "last").resolve()
    files = sorted(folder.glob("*.safetensors"))
    return {f"{file.name}:{name}": value for file in files for name, value in load_file(file).items()}


def same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(one[key].tobytes() == other[key].tobytes() for key in one)


def test_one_command_trains_as_one_process_on_all_samples(
    train_config: Configs, changed: Configs, tmp_path: Path, files: Path
) -> None:
    """`--data-parallel --processes 2 --batch-size 3` and `--batch-size 6`: the same losses and predictions, of a model
    that reads metadata in every way, and whose experts' balance is that of all samples."""
    head = HeadOptions((8,), film_conditioning=("season",), moe_experts=2, moe_routing="location")
    category = CategoryOptions(categorical_columns=("location", "season"))
    config = train_config(tmp_path / "one", run={"batch_size": 6, "epochs": 1}, head=head, category=category)
    train(config, quiet=True)
    config = changed(changed(config, "run", output_dir=tmp_path / "two", batch_size=3), "parallel", data_parallel=True)
    train(changed(config, "parallel", processes=2), quiet=True)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    tables = [(tmp_path / name / "predictions_full.tsv").read_text().splitlines() for name in ("one", "two")]
    rows = [[line.split("\t") for line in table] for table in tables]
    assert [row[0] for row in rows[0]] == [row[0] for row in rows[1]]
    column = rows[0][0].index("prediction")
    values = [[float(row[column]) for row in table[1:]] for table in rows]
    assert values[1] == pytest.approx(values[0], rel=1e-3)
    (one, two) = (read_records(tmp_path / name / "metrics.jsonl")[0] for name in ("one", "two"))
    assert (two["samples"], two["occurrences"]) == (one["samples"], one["occurrences"])  # of both processes
    assert two["asvs"] > one["asvs"]  # each has its own distinct ones
    assert two["flops"] == pytest.approx(one["flops"] * two["asvs"] / one["asvs"], rel=0.3)
    assert two["peak_memory"] > 10**7
    for name in ("report/results.json", "splits.tsv", "config.toml", "starts.jsonl"):
        assert (tmp_path / "two" / name).is_file()
    assert len((tmp_path / "two" / "starts.jsonl").read_text().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
def test_a_run_goes_on_bit_for_bit_on_as_many_processes_and_says_so_on_others(
    sharded: bool, two: tuple[PretrainConfig, Path], changed: Configs, run_processes: Run, start_processes: Start,
    tmp_path: Path,
) -> None:  # fmt: skip
    config = changed(two[0], "parallel", distributed=False, fsdp=True, fsdp_sharded_checkpoint=sharded)
    whole = changed(config, "run", output_dir=tmp_path / "whole")
    run_processes(2, "run.py", "none", 0, 0, "pretrain", "--config", write(whole, tmp_path / "whole.toml"))
    file = write(config, tmp_path / "config.toml")
    stopped = start_processes(2, "run.py", "SIGUSR1", 1, 4, "pretrain", "--config", file)
    ends = [process.communicate(timeout=SECONDS)[1] for process in stopped]
    assert [process.returncode for process in stopped] == [85, 85], ends
    assert all("SIGUSR1: stopped after step 4" in end for end in ends)
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir() if path.name.startswith("step"))
    assert names == ["step-3", "step-4-parts" if sharded else "step-4"]
    assert len(losses(tmp_path / "run")) == 4
    # on three processes it goes on with the same batches
    subprocess.run(["cp", "-a", tmp_path / "run", tmp_path / "three"], check=True)
    three = changed(config, "run", output_dir=tmp_path / "three")
    ends = run_processes(3, "run.py", "none", 0, 0, "pretrain", "--config", write(three, tmp_path / "three.toml"))
    assert "not bit-exact: saved on (fsdp, 2), continued on (fsdp, 3); micro-batches stay those of 6 samples" in ends[0]
    assert losses(tmp_path / "three") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)
    run_processes(2, "run.py", "none", 0, 0, "pretrain", "--config", file)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert same_bits(last(tmp_path / "run"), last(tmp_path / "whole"))
    # and on one process, which can read parts too
    one = changed(changed(config, "run", epochs=3), "parallel", **dict.fromkeys(
        ("fsdp", "fsdp_sharded_checkpoint", "distributed"), False))  # fmt: skip
    pretrain(one, quiet=True)
    assert len(losses(tmp_path / "run")) == 9


@pytest.mark.slow
def test_nan_on_one_process_ends_all_with_its_number_and_samples(
    two: tuple[PretrainConfig, Path], start_processes: Start, tmp_path: Path
) -> None:
    processes = start_processes(2, "run.py", "nan", 1, 2, "pretrain", "--config", two[1])
    ends = [process.communicate(timeout=SECONDS)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    for end in ends:
        assert "error: step 2: the loss of " in end
        assert " on process 1 is not finite, samples S" in end
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_others_and_the_run_resumes(
    rank: int, two: tuple[PretrainConfig, Path], start_processes: Start, run_processes: Run, tmp_path: Path
) -> None:
    processes = start_processes(2, "run.py", "SIGKILL", rank, 5, "pretrain", "--config", two[1])
    ends = [process.communicate(timeout=SECONDS)[1] for process in processes]
    assert processes[rank].returncode == -signal.SIGKILL
    assert processes[1 - rank].returncode == 2
    assert "error: another process of this run exited" in ends[1 - rank]
    assert "nothing more was saved" in ends[1 - rank]
    names = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir() if path.name.startswith("step")]
    assert names == ["step-3"]
    run_processes(2, "run.py", "none", 0, 0, "pretrain", "--config", two[1])
    steps = [record["step"] for record in read_records(tmp_path / "run" / "metrics.jsonl") if record["kind"] == "step"]
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_stopped_process_ends_the_others_after_the_timeout(
    rank: int, two: tuple[PretrainConfig, Path], changed: Configs, start_processes: Start, tmp_path: Path
) -> None:
    config = changed(two[0], "parallel", distributed_timeout=15)
    file = write(config, tmp_path / "config.toml")
    processes = start_processes(2, "run.py", "SIGSTOP", rank, 2, "pretrain", "--config", file)
    end = processes[1 - rank].communicate(timeout=SECONDS)[1]
    assert processes[1 - rank].returncode == 2
    assert processes[rank].poll() is None
    assert f"process {rank} has not responded for 15 s" in end
    assert "in _train_step" in end  # where it waited
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.slow
def test_different_settings_on_one_process_are_an_error_on_all(
    two: tuple[PretrainConfig, Path], start_processes: Start, tmp_path: Path
) -> None:
    arguments = ("run.py", "none", 0, 0, "pretrain", "--config", two[1])
    processes = start_processes(2, *arguments, more_of_last=("--lr", "0.5"))
    ends = [process.communicate(timeout=SECONDS)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    for end in ends:
        assert "error: process 1 differs from process 0 in its settings. Start all processes of a run" in end
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["to the command", "to its process group", "twice"])
def test_signals_to_the_one_command_stop_all_its_processes(
    way: str, two: tuple[PretrainConfig, Path], changed: Configs, tmp_path: Path
) -> None:
    config = changed(two[0], "parallel", distributed=False, data_parallel=True, processes=2)
    config = changed(changed(config, "run", epochs=10_000), "optimizer", warmup_steps=1)
    file = write(config, tmp_path / "config.toml")
    with subprocess.Popen(
        ["python", "-m", "aam_cli", "pretrain", "--config", str(file)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{Path(os.sys.executable).parent}:{os.environ['PATH']}"},  # type: ignore[attr-defined]
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        metrics, until = tmp_path / "run" / "metrics.jsonl", time.monotonic() + SECONDS
        while not metrics.is_file() or metrics.stat().st_size < 2000:
            assert time.monotonic() < until
            assert program.poll() is None
            time.sleep(0.1)
        if way == "to its process group":
            os.killpg(program.pid, signal.SIGTERM)
        else:
            program.send_signal(signal.SIGTERM)
        if way == "twice":
            time.sleep(0.01)
            program.send_signal(signal.SIGTERM)
        end = program.communicate(timeout=SECONDS)[1]
    assert program.returncode == 143, end
    if way == "twice":  # at once, unless the first one was done already
        assert "nothing more was saved" in end or "stopped after step" in end
    else:
        assert "stopped: SIGTERM: stopped after step" in end
        assert (tmp_path / "run" / "checkpoints" / "last").exists()


@pytest.mark.slow
def test_torchrun_restarts_lost_processes_and_the_run_resumes(
    two: tuple[PretrainConfig, Path], changed: Configs, tmp_path: Path
) -> None:
    config = changed(two[0], "run", epochs=40, resume_from="auto", output_dir=tmp_path / "run")
    file = write(config, tmp_path / "config.toml")
    words = ["--nproc-per-node=2", "--max-restarts=1", "-m", "aam_cli", "pretrain", "--config", str(file)]
    with subprocess.Popen(
        [os.sys.executable, "-m", "torch.distributed.run", *words],  # type: ignore[attr-defined]
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        until = time.monotonic() + SECONDS
        while not (found := list((tmp_path / "run" / "checkpoints").glob("step-*"))):
            assert time.monotonic() < until
            assert program.poll() is None
            time.sleep(0.1)
        os.kill(second_process_of(program.pid), signal.SIGKILL)
        end = program.communicate(timeout=SECONDS)[1]
    assert found
    assert program.returncode == 0, end
    assert "start 2 of this run, from step" in end
    assert len((tmp_path / "run" / "starts.jsonl").read_text().splitlines()) == 2


def second_process_of(parent: int) -> int:
    """Return the pid of the child process with RANK 1."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent_pid = entry.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            if int(parent_pid) == parent and b"\0RANK=1\0" in b"\0" + entry.joinpath("environ").read_bytes():
                return int(entry.name)
    raise AssertionError("no process with RANK=1")
