"""Gradients, metrics and checkpoints of several processes equal those of one: real processes, on CPUs.

What each of them does is in ``processes/``; a test starts them as torchrun would and reads what the first one found.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.study import simulate_study, write_simulated_study

Run = Callable[..., list[str]]
SCRIPTS = Path(__file__).with_name("processes")


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 40 samples."""
    folder = tmp_path_factory.mktemp("larger")
    write_simulated_study(simulate_study(SimulateOptions(40, asvs=60, hosts=12, bases=40, depth=300, seed=3)), folder)
    return folder


def read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


@pytest.mark.parametrize(
    "size", [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow), 3,
             pytest.param(4, marks=pytest.mark.slow)]
)  # fmt: skip
def test_gradients_are_those_of_one_process(size: int, run_processes: Run, larger: Path, tmp_path: Path) -> None:
    """Every loss, alone and combined, with DDP and FSDP, sharded in every way: parts of 1 to 7 samples with different
    ASVs, lengths and chunks, one of them without a known target."""
    run_processes(size, "gradient_cases.py", larger, tmp_path / "results.json")
    results = read(tmp_path / "results.json")
    without = results.pop("no gradient")
    assert len(results) == 29 + 6
    for name, found in results.items():
        limit = 1e-5 if "float32" in name else 1e-10
        assert max(found.values()) < limit, (name, found)
    # the comparison sees a gather that has no gradient
    assert without["gradient"] > 0.01
    assert without["loss"] < 1e-10


@pytest.mark.parametrize("size", [3, pytest.param(2, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)])
def test_figures_and_outputs_are_those_of_one_process(
    size: int, run_processes: Run, larger: Path, tmp_path: Path
) -> None:
    """1 to 17 samples: fewer than processes, not divisible, one more than a batch; outputs keep the requested order."""
    run_processes(size, "validation.py", larger, tmp_path / "results.json")
    assert max(read(tmp_path / "results.json").values()) < 2e-5


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_process_holds_its_part_of_the_encoders_only(
    size: int, run_processes: Run, larger: Path, tmp_path: Path
) -> None:
    """Weights, gradients and both moments of AdamW, 4 bytes each, after a step: all on every process of DDP; its shards
    of the encoders, and all of the small heads, with FSDP. Shards of few rows are not all equal."""
    run_processes(size, "shard_bytes.py", larger, tmp_path / "results.json")
    found = read(tmp_path / "results.json")
    counters = 1000  # step counters of the optimizer
    for held, units, everything in found["ddp"]:
        assert units == 0
        assert held == pytest.approx(16 * everything, abs=counters)
    ddp = found["ddp"][0][0]
    for kind, shards in (("full", size), ("gradients", size), ("hybrid", size // 2)):
        total, (_, units, everything) = sum(held for held, _, _ in found[kind]), found[kind][0]
        assert units > 0.5 * everything
        copies = size // shards
        assert total == pytest.approx(16 * (copies * units + size * (everything - units)), rel=0.02)
        if shards > 1:
            assert max(held for held, _, _ in found[kind]) < 0.8 * ddp


def check_reshards(folder: Path, results: Path, expected: int) -> None:
    found = read(results)
    assert len(found) == expected
    for name, (differ, of_next_loss) in found.items():
        assert differ == 0, name
        assert of_next_loss < 1e-5, name


def alone(*arguments: object) -> None:
    subprocess.run([sys.executable, str(SCRIPTS / "reshard.py"), *map(str, arguments)], check=True)


def test_a_checkpoint_of_two_processes_is_read_by_one(run_processes: Run, larger: Path, tmp_path: Path) -> None:
    """Saved by DDP, by FSDP, and by FSDP as shards, of which two machines have the same ones."""
    folder = tmp_path / "saved"
    folder.mkdir()
    run_processes(2, "reshard.py", larger, folder, "save")
    alone(larger, folder, "load", tmp_path / "1.json")
    check_reshards(folder, tmp_path / "1.json", 4)


@pytest.mark.slow
def test_any_checkpoint_is_read_by_any_strategy_and_number_of_processes(
    run_processes: Run, larger: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    alone(larger, folder, "save")
    for size in (1, 2, 3, 4):
        run_processes(size, "reshard.py", larger, folder, "save")
    assert len(list(folder.iterdir())) == 9 + 4 + 2  # FSDP whole and in parts, and as on two machines
    alone(larger, folder, "load", tmp_path / "0.json")
    check_reshards(folder, tmp_path / "0.json", 15)
    for size in (1, 2, 3, 4):
        run_processes(size, "reshard.py", larger, folder, "load", tmp_path / f"{size}.json")
        check_reshards(folder, tmp_path / f"{size}.json", 45 if size % 2 == 0 else 30)
