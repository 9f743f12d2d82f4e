"""A run whose own records are damaged continues from its whole checkpoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aam_data.errors import DataError
from aam_models.errors import ModelError
from aam_train.errors import TrainError
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.recipes.pretrain import pretrain
from aam_train.reporting.jsonl import read_records
from aam_train.runs.records import read_preprocessor, read_training

Capture = pytest.CaptureFixture[str]
DAMAGE = {
    "torn": b'{"start": 2, "versions": {"to\n',
    "NUL": b"\0" * 3000 + b"\n",
    "not UTF-8": b'{"kind": "\xff\xfe"}\n',
    "other JSON": b'[1]\n{"kind": "epoch"}\n{"kind": "step", "step": "1"}\n{"versions": 3}\n',
    "too large": b'{"start": 1' + b"0" * 400 + b"}\n",
    "too deep": b"[" * 20_000 + b"\n",
    "too long": b'{"a": "' + b"x" * 2_500_000 + b'"}\n',
    "unfinished": b'{"start": 2, "vers',
}


@pytest.fixture
def resume(
    encoder_run: tuple[PretrainConfig, Path], changed: Callable[..., Any], tmp_path: Path
) -> tuple[Path, Callable[[], None]]:
    """A copy of a finished run, and a function that continues it."""
    run = Path(shutil.copytree(encoder_run[1], tmp_path / "run", symlinks=True))
    config = changed(encoder_run[0], "run", output_dir=run, resume_from="auto", epochs=3)
    return run, lambda: [pretrain(config)][:0] and None


def test_a_record_grown_without_an_end_is_not_read_whole(
    resume: tuple[Path, Callable[[], None]], capsys: Capture
) -> None:
    run, go_on = resume
    sound = read_records(run / "metrics.jsonl")
    for name in ("starts.jsonl", "metrics.jsonl"):
        with (run / name).open("r+b") as file:
            file.truncate(10**11)  # zeros that take no room on disk, and minutes to read
    go_on()
    assert f"warning: {run / 'metrics.jsonl'}: line {len(sound) + 1} is damaged" in capsys.readouterr().err
    assert read_records(run / "metrics.jsonl")[: len(sound)] == sound


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_lines_are_left_out_with_a_warning(
    damage: str, resume: tuple[Path, Callable[[], None]], capsys: Capture
) -> None:
    run, go_on = resume
    sound = read_records(run / "metrics.jsonl")
    for name in ("starts.jsonl", "metrics.jsonl"):
        before = (run / name).read_bytes()
        (run / name).write_bytes(DAMAGE[damage] + before if damage != "unfinished" else before + DAMAGE[damage])
    go_on()
    err = capsys.readouterr().err
    for name in ("starts.jsonl", "metrics.jsonl"):
        assert (f"warning: {run / name}: line" in err) == (damage != "unfinished")
    records = read_records(run / "metrics.jsonl")
    assert records[: len(sound)] == sound
    assert [record["epoch"] for record in records if record["kind"] == "epoch"] == [1, 2, 3]
    last = json.loads((run / "starts.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()[-1])
    assert last["from_step"] == 6


def test_a_damaged_line_is_named_where_it_is_only_read(resume: tuple[Path, Callable[[], None]]) -> None:
    file = resume[0] / "metrics.jsonl"
    file.write_bytes(b"\0\n" + file.read_bytes())
    with pytest.raises(DataError, match=r"metrics.jsonl: line 1 is damaged. Delete what is damaged"):
        read_records(file)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff", "line 1 is not UTF-8 text"),
        (b"[table]\ntable = a\n", "at line 2, column"),
        (b"\0", "not valid TOML"),
        (b"a = " + b"[" * 2000, "nested too deep"),
        (b"a" + b".a" * 100_000 + b" = 1", "a key of more than 100 parts"),
        (b"#" * 2_000_000, "2,000,000 bytes"),
    ],
)
def test_damaged_settings_are_named_and_may_be_deleted(
    content: bytes, problem: str, resume: tuple[Path, Callable[[], None]], capsys: Capture
) -> None:
    run, go_on = resume
    (run / "config.toml").write_bytes(content)
    with pytest.raises(TrainError, match=problem) as caught:
        go_on()
    assert str(run / "config.toml") in str(caught.value)
    assert "delete it: the run then continues with the settings of this command" in str(caught.value)
    if content == b"\xff":  # as it says
        (run / "config.toml").unlink()
        go_on()
        assert "config.toml is missing: nothing checks that these are the run's settings" in capsys.readouterr().err
        assert (run / "config.toml").is_file()


@pytest.mark.parametrize("name", ["training.json", "preprocessor.json"])
def test_files_of_a_model_that_are_not_utf8_are_named(name: str, resume: tuple[Path, Callable[[], None]]) -> None:
    folder = resume[0] / "checkpoints" / "step-6"
    (folder / name).write_bytes(b'{"command": "\xe9"}')
    with pytest.raises(ModelError, match=f"{name}: line 1 is not UTF-8 text"):
        (read_training if name == "training.json" else read_preprocessor)(folder)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("prediction_passes", 10**9, "prediction_passes 1000000000: must be 1 to 100"),
        ("prediction_passes", 0, "prediction_passes 0: must be 1 to 100"),
        ("samples", "many", "samples: expected a JSON object, got 'many'"),
        ("samples", {"train": 1.5}, "samples.train: expected int, got 1.5"),
        ("step", 10**30, "is too large"),
        ("inputs", [{"path": {}}], "path: expected str"),
        ("unifrac_metric", "euclidean", "'euclidean' is not one of unifrac"),
        ("best_value", "good", "best_value: expected float"),
    ],
)
def test_values_of_another_kind_are_named(
    key: str, value: object, problem: str, resume: tuple[Path, Callable[[], None]]
) -> None:
    folder = resume[0] / "checkpoints" / "step-6"
    content = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps(content | {key: value}))
    with pytest.raises(ModelError, match=f"training.json.*{problem}"):
        read_training(folder)
