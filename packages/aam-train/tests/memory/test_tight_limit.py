"""A memory limit that bites: smaller micro-batches, less memory, the same steps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_models.config.encoder import ModelOptions
from aam_train.options.compute import ComputeOptions
from aam_train.options.memory import MemoryOptions
from aam_train.options.objective import PretrainObjective
from aam_train.options.toml import config_to_toml
from aam_train.reporting.jsonl import read_records

MB = 10**6
LIMIT = 0.12  # GB; a step without a limit takes about 0.3, the largest sample alone 0.1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks need Linux")
def test_a_limit_makes_smaller_micro_batches_of_the_same_steps(
    pretrain_config: Callable[..., Any], tmp_path: Path
) -> None:
    """Without distances, whose pairs depend on the micro-batches, losses are equal. Each run is a process of its own,
    so that neither uses memory that the other has freed."""
    study = tmp_path / "study"
    study.mkdir()
    write_simulated_study(simulate_study(SimulateOptions(24, asvs=300, hosts=12, bases=150, depth=300, seed=3)), study)
    steps = {}
    for name, memory in (("plain", MemoryOptions()), ("limited", MemoryOptions(max_memory_gb=LIMIT))):
        config = pretrain_config(
            tmp_path / name,
            {"batch_size": 16},
            table=TableOptions(study / "table.biom"),
            metadata=MetadataOptions(study / "metadata.tsv"),
            phylogeny=PhylogenyOptions(tree=study / "tree.nwk"),
            model=ModelOptions(preset="tiny", embedding_dim=64, attention_heads=2, attention_layers=4),
            objective=PretrainObjective(unifrac_weight=0.0),
            compute=ComputeOptions(gradient_checkpointing=False),
            memory=memory,
        )
        file = tmp_path / f"{name}.toml"
        file.write_text(config_to_toml(config), encoding="utf-8")
        command = [sys.executable, "-m", "aam_cli", "pretrain", "--config", str(file)]
        subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
        records = read_records(tmp_path / name / "metrics.jsonl")
        steps[name] = [record for record in records if record["kind"] == "step"]
    plain, limited = steps["plain"], steps["limited"]
    assert [step["samples"] for step in limited] == [step["samples"] for step in plain]
    for one, other in zip(plain, limited, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)
        assert other["asvs"] > one["asvs"]  # an ASV is encoded once for each micro-batch that has it
    peaks = {name: max(step["peak_memory"] for step in of_run) for name, of_run in steps.items()}
    assert peaks["limited"] < peaks["plain"] - 80 * MB
