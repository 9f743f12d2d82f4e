"""Which process this is, which batches it takes, and which options cannot be combined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_train.data.loading import TrainingPlan, default_workers
from aam_train.errors import TrainError
from aam_train.options.compute import ComputeOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.options.run import RunOptions
from aam_train.parallel.environment import RankInfo, check_launcher, is_rank_zero_env, rank_info_from_env
from aam_train.parallel.launch import number_of_processes
from aam_train.parallel.process_group import rank_device
from aam_train.parallel.torch_compat import check_version, shard_bounds
from aam_train.recipes.inputs import read_run_inputs, read_search_inputs

SLURM = {"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_NTASKS_PER_NODE": "4"}
TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "node1",
            "MASTER_PORT": "29500"}  # fmt: skip


def test_torchrun_says_which_process_this_is() -> None:
    assert rank_info_from_env(TORCHRUN | SLURM) == RankInfo(5, 8, 1, 4, "node1", 29500)


def test_slurm_says_it_without_torchrun() -> None:
    given = SLURM | {"MASTER_ADDR": "node1", "MASTER_PORT": "1234", "SLURM_JOB_ID": "98765"}
    assert rank_info_from_env(given) == RankInfo(5, 8, 1, 4, "node1", 1234)
    del given["MASTER_PORT"]
    assert rank_info_from_env(given).port == 28765
    assert rank_info_from_env(SLURM | {"SLURM_NNODES": "1"}).address == "127.0.0.1"
    with pytest.raises(TrainError, match=r"MASTER_ADDR: not set, .*Export MASTER_ADDR as the first host"):
        rank_info_from_env(SLURM | {"SLURM_NNODES": "2"})


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "need processes started by torchrun or srun"),
        (TORCHRUN | {"MASTER_PORT": ""}, "MASTER_PORT: not set"),
        (TORCHRUN | {"WORLD_SIZE": "many"}, "WORLD_SIZE='many': not a number"),
        (TORCHRUN | {"RANK": "8"}, "process 8 of 8: ranks count from 0"),
    ],
)
def test_what_the_environment_lacks_is_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(TrainError, match=message):
        rank_info_from_env(environ)


def test_the_first_process_speaks() -> None:
    several = ParallelOptions(distributed=True)
    assert is_rank_zero_env(ParallelOptions(), TORCHRUN)
    assert not is_rank_zero_env(several, TORCHRUN)
    assert not is_rank_zero_env(several, SLURM)
    assert is_rank_zero_env(several, TORCHRUN | {"RANK": "0"})


def test_torchrun_without_an_option_is_refused() -> None:
    environ = TORCHRUN | {"TORCHELASTIC_RUN_ID": "none"}
    with pytest.raises(TrainError, match=r"torchrun has started 8 processes.*Use --distributed or --fsdp"):
        check_launcher(ParallelOptions(), environ)
    with pytest.raises(TrainError, match=r"--data-parallel starts its own"):
        check_launcher(ParallelOptions(data_parallel=True), environ)
    check_launcher(ParallelOptions(fsdp=True), environ)
    check_launcher(ParallelOptions(), {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distributed": True, "fsdp": True}, "--distributed and --fsdp cannot be combined"),
        ({"distributed": True, "data_parallel": True}, "--distributed and --data-parallel cannot be combined"),
        ({"fsdp_sharded_checkpoint": True}, "--fsdp-sharded-checkpoint only applies with --fsdp"),
        ({"distributed": True, "fsdp_cpu_offload": True}, "--fsdp-cpu-offload only applies with --fsdp"),
        ({"distributed": True, "fsdp_sharding": "hybrid"}, "--fsdp-sharding hybrid only applies with --fsdp"),
        ({"distributed": True, "processes": 2}, "--processes only applies with --data-parallel"),
        ({"data_parallel": True, "processes": 0}, "--processes 0: must be between 1 and 1024"),
        ({"distributed_backend": "gloo"}, "--distributed-backend only applies with"),
        ({"distributed_timeout": 0}, "--distributed-timeout 0: must be between 1 and 86400"),
    ],
)
def test_contradictory_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ParallelOptions(**options)  # type: ignore[arg-type]


def pretraining(tmp_path: Path, parallel: ParallelOptions, compute: ComputeOptions | None = None) -> PretrainConfig:
    return PretrainConfig(
        TableOptions(tmp_path / "table.biom"),
        RunOptions(tmp_path / "run", device="cpu"),
        PhylogenyOptions(tree=tmp_path / "tree.nwk"),
        compute=compute or ComputeOptions(),
        parallel=parallel,
    )


def test_fsdp_has_no_fp16(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--fsdp and --mixed-precision fp16 cannot be combined"):
        pretraining(tmp_path, ParallelOptions(fsdp=True), ComputeOptions(mixed_precision="fp16"))


def test_a_search_for_a_rate_is_one_process(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"aam lr-find runs in one process"):
        read_search_inputs(pretraining(tmp_path, ParallelOptions(distributed=True)))


def test_processes_of_nobody_are_refused_before_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (TORCHRUN | {"TORCHELASTIC_RUN_ID": "none"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainError, match="torchrun has started 8 processes"):
        read_run_inputs(pretraining(tmp_path, ParallelOptions()))


def test_fewer_than_two_gpus_are_said_and_run_on_one(capsys: pytest.CaptureFixture[str]) -> None:
    options = ParallelOptions(data_parallel=True)
    if torch.cuda.device_count() < 2:
        assert number_of_processes(options, "auto", quiet=False) == 1
        assert (
            f"PyTorch sees {torch.cuda.device_count()} GPUs here, so a single process runs" in capsys.readouterr().err
        )
    with pytest.raises(TrainError, match="--data-parallel with --device cpu needs --processes"):
        number_of_processes(options, "cpu", quiet=True)
    assert number_of_processes(ParallelOptions(data_parallel=True, processes=3), "cpu", quiet=True) == 3
    assert number_of_processes(ParallelOptions(), "cpu", quiet=True) == 1
    with pytest.raises(TrainError, match="--device cuda:1 is one GPU, but --data-parallel uses all"):
        number_of_processes(options, "cuda:1", quiet=True)
    with pytest.raises(TrainError, match=r"--processes 999: PyTorch sees \d+ GPUs here"):
        number_of_processes(ParallelOptions(data_parallel=True, processes=999), "auto", quiet=True)


def test_each_process_takes_a_device_of_its_own() -> None:
    rank_info = RankInfo(1, 2, 1, 2, "127.0.0.1", 1)
    assert rank_device("cpu", rank_info) == torch.device("cpu")
    with pytest.raises(TrainError, match="--device cuda:0: each process takes a GPU of its own"):
        rank_device("cuda:0", rank_info)


def test_older_versions_are_refused_by_fsdp() -> None:
    with pytest.raises(TrainError, match=r"--fsdp needs torch \d\.\d+ or newer, this is 2\.4\.1\+cpu"):
        check_version("2.4.1+cpu")
    check_version("2.13.0+cu130")
    check_version()


@pytest.mark.parametrize("length", [1, 2, 5, 8])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_parts_of_a_tensor_are_those_of_torch(length: int, size: int) -> None:
    chunks = [chunk.tolist() for chunk in torch.arange(length).chunk(size)]
    found = [torch.arange(length)[slice(*shard_bounds(length, rank, size))].tolist() for rank in range(size)]
    assert found == chunks + [[]] * (size - len(chunks))


def test_processes_share_the_batches_of_one() -> None:
    rows, masking = np.arange(53), ()
    whole = TrainingPlan(rows, 12, 1, masking, accumulation=2)
    parts = [TrainingPlan(rows, 12, 1, masking, accumulation=2, part=(rank, 3)) for rank in range(3)]
    assert {part.steps_per_epoch for part in parts} == {whole.steps_per_epoch}
    for epoch in (0, 4):
        for step, *of_parts in zip(whole.epoch(epoch), *(part.epoch(epoch) for part in parts), strict=True):
            for micro, *shares in zip(step, *of_parts, strict=True):
                sizes = [len(share.rows) for share in shares]
                assert max(sizes) - min(sizes) <= 1
                assert np.concatenate([share.rows for share in shares]).tolist() == micro.rows.tolist()


def test_more_processes_than_samples_of_a_micro_batch_are_refused() -> None:
    TrainingPlan(np.arange(17), 16, 1, (), part=(7, 8))
    with pytest.raises(TrainError, match=r"17 training samples make micro-batches of 8 to 16 samples, which 16 proc"):
        TrainingPlan(np.arange(17), 16, 1, (), part=(0, 16))


def test_processes_share_the_cores_of_a_machine() -> None:
    assert default_workers(torch.device("cpu"), 4) == 0
    assert default_workers(torch.device("cuda"), 1000) == 0
