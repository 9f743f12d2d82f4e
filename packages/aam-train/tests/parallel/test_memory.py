"""Memory limits with several processes: they agree on the batch size and train as without a limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aam_train.files import read_json_object
from aam_train.options.toml import config_to_toml
from aam_train.reporting.jsonl import read_records
from aam_train.runs.checkpoints import LAST

Configs = Callable[..., Any]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["distributed", "fsdp"])
def test_processes_try_steps_together_and_train_as_without_a_limit(
    strategy: str, pretrain_config: Configs, changed: Configs, run_processes: Callable[..., list[str]], tmp_path: Path
) -> None:
    plain = changed(pretrain_config(tmp_path / "plain", run={"batch_size": 3}), "parallel", **{strategy: True})
    limited = changed(changed(plain, "run", output_dir=tmp_path / "limited"), "memory", max_memory_gb=4.0)
    found = changed(plain, "run", output_dir=tmp_path / "found", batch_size=32)
    found = changed(found, "memory", auto_batch_size=True, max_memory_gb=0.5)
    for config in (plain, limited, found):
        file = tmp_path / "config.toml"
        file.write_text(config_to_toml(config), encoding="utf-8")
        ends = run_processes(2, "run.py", "none", 0, 0, "pretrain", "--config", file)
    assert "memory: a batch of" in ends[0]
    records = {name: read_records(tmp_path / name / "metrics.jsonl") for name in ("plain", "limited", "found")}
    losses = {
        name: [record["loss"]["total"] for record in of_run if record["kind"] == "step"]
        for name, of_run in records.items()
    }
    assert losses["limited"] == losses["plain"]
    batching = read_json_object(tmp_path / "found" / "checkpoints" / LAST / "train_state.json")["batching"]
    samples = [record["samples"] for record in records["found"] if record["kind"] == "step"]
    assert 1 <= max(samples) <= 2 * batching["batch_size"]
