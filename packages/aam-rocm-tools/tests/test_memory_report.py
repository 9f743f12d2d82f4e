"""The report on a run's memory.json, and the batch size that fits another device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from aam_rocm_tools.main import main
from aam_rocm_tools.memory_report import largest_batch, read_memory

CONTENT: dict[str, Any] = {
    "format": 1,
    "device": "cuda:0",
    "measure": "memory allocated by PyTorch",
    "total_bytes": 128 * 10**9,
    "steps": 12,
    "peaks": {"model creation": 10**9, "forward": 30 * 10**9, "backward": 34 * 10**9, "optimizer step": 4 * 10**9},
    "resident_bytes": 2 * 10**9,
    "settings": {"batch_size": 32, "mixed_precision": "bf16"},
    "suggestions": ["the peak is in backward"],
}


def run_folder(folder: Path, **changes: Any) -> Path:
    (folder / "memory.json").write_text(json.dumps(CONTENT | changes), "utf-8")
    return folder


def test_the_report_shows_the_peaks_and_the_suggestions_of_the_run(tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["memory", str(run_folder(tmp_path))])
    assert ran.exit_code == 0, ran.output
    lines = [" ".join(line.split()) for line in ran.output.splitlines()]
    assert "backward 34.000 27% <- highest" in lines
    assert "between steps 2.000 2%" in lines
    assert lines[-1] == "the peak is in backward"
    assert "settings: batch_size 32, mixed_precision bf16" in lines


@pytest.mark.parametrize(
    ("gb", "batch", "words"),
    # 2 GB stay, 32 samples add 32 GB: one GB a sample, and nine tenths of the device are for use
    [
        (640, 574, "640 GB fit more than 8 times --batch-size 32"),
        (80, 70, "80 GB fit this run; --batch-size up to about 70"),
        (20, 16, "20 GB do not fit --batch-size 32; about 16 fits. --gradient-accumulation-steps 2"),
        (2, 0, "2 GB are less than the memory that stays between steps"),
    ],
)
def test_another_device(tmp_path: Path, gb: float, batch: int, words: str) -> None:
    folder = run_folder(tmp_path)
    assert largest_batch(read_memory(folder), gb) == batch
    ran = CliRunner().invoke(main, ["memory", str(folder / "memory.json"), "--gb", str(gb)])
    assert words in ran.output
    record = json.loads(CliRunner().invoke(main, ["memory", str(folder), "--gb", str(gb), "--json"]).output)
    assert words in record["suggestions"][0]
    assert record["peaks"] == CONTENT["peaks"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file. Run `aam pretrain` or `aam train` with --memory-profile"),
        ("{", "not a memory.json of AAM"),
        ("[]", "not a memory.json of AAM"),
        (json.dumps(CONTENT | {"format": 2}), "has format 2; a newer aam-rocm-tools is needed"),
        (json.dumps(CONTENT | {"peaks": {}}), "has no phases"),
        (json.dumps({"format": 1}), "KeyError: 'device'"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "memory.json").write_text(text, "utf-8")
    ran = CliRunner().invoke(main, ["memory", str(tmp_path)])
    assert (ran.exit_code, message in ran.output.replace("\n", " ")) == (2, True), ran.output
