"""Full disks, damaged and malicious folders: the messages of runs and predictions, and the files they leave."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import re
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from aam_data.options.files import TableOptions
from aam_models.errors import ModelError
from aam_train.errors import TrainError
from aam_train.options.commands import PredictOptions
from aam_train.options.recipe_configs import PredictConfig, PretrainConfig, TrainConfig
from aam_train.recipes import launch
from aam_train.recipes.predict import predict as run_predict
from aam_train.recipes.pretrain import pretrain
from aam_train.recipes.train import train
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.jsonl import JsonlReporter, read_records
from aam_train.reporting.records import StepRecord
from aam_train.reporting.tensorboard import TensorBoardReporter
from aam_train.runs.checkpoints import Checkpoints

Configs = Callable[..., Any]
FILES = ("README.md", "config.json", "manifest.json", "model.safetensors", "preprocessor.json", "train_state.json",
         "train_state.safetensors", "training.json")  # fmt: skip


def predict(model: Path, files: Path, output: Path) -> None:
    options = PredictOptions(model, output / "p.tsv", device="cpu")
    run_predict(PredictConfig(TableOptions(files / "table.biom"), options), quiet=True)


@pytest.fixture
def model(number_run: tuple[TrainConfig, Path], tmp_path: Path) -> Path:
    """A copy of a model folder."""
    return Path(shutil.copytree((number_run[1] / "checkpoints" / "best").resolve(), tmp_path / "model"))


def seal(folder: Path) -> None:
    """A manifest that fits whatever is in the folder: an attacker can make one too."""
    files = {
        file.name: {"size": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for file in sorted(folder.iterdir())
        if file.name != "manifest.json" and file.is_file()
    }
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"files": files, "sha256": digest}, indent=2) + "\n")


def test_these_are_the_files_of_a_model(model: Path) -> None:
    assert sorted(file.name for file in model.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["first", "middle", "last", "cut", "emptied", "removed"])
def test_damage_anywhere_is_refused_by_the_name_of_the_file(
    name: str, damage: str, model: Path, files: Path, tmp_path: Path
) -> None:
    file = model / name
    content = bytearray(file.read_bytes())
    if damage in ("first", "middle", "last"):
        content[{"first": 0, "middle": len(content) // 2, "last": -1}[damage]] ^= 1
    elif damage == "cut":
        content = content[: len(content) // 2]
    file.unlink()
    if damage != "removed":
        file.write_bytes(b"" if damage == "emptied" else content)
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match=re.escape(name)) as refusal:
        predict(model, files, tmp_path / "out")
    assert "weights_only" not in str(refusal.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_damage_is_refused_wherever_a_model_is_taken_from(
    number_run: tuple[TrainConfig, Path],
    encoder_run: tuple[PretrainConfig, Path],
    train_config: Configs,
    changed: Configs,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a pretrained encoder, as an explicit checkpoint; `auto` takes an older one and says so."""
    encoder = Path(shutil.copytree((encoder_run[1] / "checkpoints" / "best").resolve(), tmp_path / "encoder"))
    weights = encoder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ModelError, match=r"encoder/model\.safetensors: the file was changed or is damaged"):
        train(train_config(tmp_path / "run", encoder), quiet=True)
    run = Path(shutil.copytree(number_run[1], tmp_path / "continued", symlinks=True))
    last = (run / "checkpoints" / "last").resolve()
    state = last / "train_state.safetensors"
    state.write_bytes(state.read_bytes()[:-1] + b"\x7f")
    config = changed(number_run[0], "run", output_dir=run, resume_from=str(last), epochs=3)
    with pytest.raises(ModelError, match=r"train_state\.safetensors: the file was changed or is damaged"):
        train(config, quiet=True)
    older = Checkpoints(run / "checkpoints").newest()
    train(changed(config, "run", resume_from="auto"))
    text = capsys.readouterr().err
    if older is None:
        assert "start 2 of this run, from step 0" in text
    else:
        assert f"warning: skipping damaged checkpoint {last.name}; resuming from {older.name}" in text


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return (os.system, (f"touch {self.target}",))


@pytest.mark.parametrize("name", ["model.safetensors", "train_state.safetensors"])
@pytest.mark.parametrize("form", ["pickle", "torch.save", "zip", "nothing"])
def test_what_is_no_safetensors_is_refused_and_not_run(
    name: str,
    form: str,
    encoder_run: tuple[PretrainConfig, Path],
    changed: Configs,
    tmp_path: Path,
) -> None:
    """With a manifest that fits. Optimizer states are read when a run goes on."""
    run, effect = Path(shutil.copytree(encoder_run[1], tmp_path / "run", symlinks=True)), tmp_path / "effect"
    folder = (run / "checkpoints" / "last").resolve()
    file = folder / name
    file.unlink()
    if form == "pickle":
        file.write_bytes(pickle.dumps(Payload(effect)))
    elif form == "torch.save":
        torch.save({"weights": Payload(effect)}, file)
    elif form == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("data.pkl", pickle.dumps(Payload(effect)))
    else:
        file.write_bytes(b"\0" * 100)
    seal(folder)
    config = changed(encoder_run[0], "run", output_dir=run, resume_from=str(folder), epochs=3)
    with pytest.raises(ModelError, match=rf"{name}: not a readable safetensors file") as refusal:
        pretrain(config, quiet=True)
    assert "weights_only" not in str(refusal.value)
    assert not effect.exists()
    pickle.loads(pickle.dumps(Payload(effect)))  # it would have worked
    assert effect.exists()


@pytest.mark.parametrize("form", ["DCP", ".pt", "zip", "pickle file"])
def test_other_forms_of_checkpoints_are_refused(form: str, files: Path, tmp_path: Path) -> None:
    effect, model = tmp_path / "effect", tmp_path / "model"
    if form == "DCP":
        model.mkdir()
        for name in (".metadata", "__0_0.distcp"):
            (model / name).write_bytes(pickle.dumps(Payload(effect)))
    elif form == "zip":
        with zipfile.ZipFile(model, "w") as archive:
            archive.writestr("config.json", "{}")
    elif form == ".pt":
        torch.save({"weights": Payload(effect)}, model)
    else:
        model.write_bytes(pickle.dumps(Payload(effect)))
    (tmp_path / "out").mkdir()
    with pytest.raises((ModelError, TrainError), match="model"):
        predict(model, files, tmp_path / "out")
    assert not effect.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["model"]["encoder"].update(asv_layers=10**9), "asv_layers 1000000000: must be 1 to 256"),
        (lambda c: c["model"]["encoder"].update(heads=3), "3 heads do not divide 16"),
        (lambda c: c["model"].update(out_width=10**12), "out_width 1000000000000: must be 1 to 1,000,000"),
        (lambda c: c["model"].update(secret=1), r"unknown keys: secret"),
        (lambda c: c.update(format_version=99), "format version 99 is newer than this program can read"),
        (lambda c: c["model"]["encoder"].update(max_bp=65_000), "tensors of another type or shape"),
        (lambda c: c["model"].update(hidden_dims=[1] * 256, experts=256), r"config\.json"),
    ],
)
def test_configurations_that_ask_for_nonsense(
    change: Callable[[dict[str, Any]], None], message: str, model: Path, files: Path, tmp_path: Path
) -> None:
    content = json.loads((model / "config.json").read_text())
    change(content)
    (model / "config.json").write_text(json.dumps(content))
    seal(model)
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match=message):
        predict(model, files, tmp_path / "out")


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": 1, "a": 2}', "[" * 1000, "", '{"format_version": 2}'])
def test_configurations_that_are_none(text: str, model: Path, files: Path, tmp_path: Path) -> None:
    (model / "config.json").write_text(text)
    seal(model)
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match=r"config\.json"):
        predict(model, files, tmp_path / "out")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs the rights of root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, spare: int = 0) -> None:
    """Leave so many blocks."""
    state = os.statvfs(disk)
    (disk / "filler").write_bytes(b"x" * ((state.f_bavail - spare) * state.f_frsize))


class Filling(ConsoleReporter):
    """Fills the disk after a step, but for a few lines of metrics and curves."""

    disk: Path
    at: int

    def step(self, record: StepRecord) -> None:
        super().step(record)
        if record.step == self.at:
            fill(self.disk, spare=3)


def test_a_full_disk(
    small_disk: Path,
    encoder_run: tuple[PretrainConfig, Path],
    changed: Configs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = small_disk / "run"
    config = changed(encoder_run[0], "run", output_dir=run)
    monkeypatch.setattr(launch, "ConsoleReporter", type("Reporter", (Filling,), {"disk": small_disk, "at": 4}))
    message = r"step-6: the checkpoint could not be saved \(No space left on device; 0\.0 MB are free on this disk\)"
    with pytest.raises(TrainError, match=message) as refusal:
        pretrain(config, quiet=True)
    assert str(run) in str(refusal.value)
    checkpoints = Checkpoints(run / "checkpoints")
    assert checkpoints.newest() == checkpoints.folder / "step-3"
    assert [path.name for path in checkpoints.folder.iterdir() if path.name.startswith(".")] == []
    (small_disk / "filler").unlink()
    monkeypatch.undo()
    pretrain(changed(config, "run", resume_from="auto"), quiet=True)
    steps = [record["step"] for record in read_records(run / "metrics.jsonl") if record["kind"] == "step"]
    assert steps == list(range(1, 7))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's own thread
def test_no_half_of_a_line_in_metrics(small_disk: Path, encoder_run: tuple[PretrainConfig, Path]) -> None:
    names = {field.name for field in dataclasses.fields(StepRecord)}
    first = read_records(encoder_run[1] / "metrics.jsonl")[0]
    reporter = JsonlReporter(small_disk / "metrics.jsonl")
    record = StepRecord(**{name: value for name, value in first.items() if name in names})
    reporter.step(record)
    curves = TensorBoardReporter(small_disk / "tensorboard")
    fill(small_disk)
    with pytest.raises(TrainError, match=r"metrics\.jsonl: cannot be written \(No space left on device\)\. Free some"):
        write_lines(reporter, record)
    reporter.close()
    text = (small_disk / "metrics.jsonl").read_text()
    assert text.endswith("\n")
    assert all(json.loads(line) == first for line in text.splitlines())
    with pytest.raises(TrainError, match=r"tensorboard: cannot be written"):
        TensorBoardReporter(small_disk / "tensorboard")
    with pytest.raises(TrainError, match=r"tensorboard: cannot be written"):
        write_curves(curves, record)


def write_lines(reporter: JsonlReporter, record: StepRecord) -> None:
    for _ in range(1000):
        reporter.step(record)


def write_curves(curves: TensorBoardReporter, record: StepRecord) -> None:
    try:
        for _ in range(5000):
            curves.step(record)
    finally:
        curves.close()


LIMITED = """
import resource, signal, sys
from pathlib import Path
from aam_cli.errors import run_program
from aam_cli.main import cli
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(run_program(cli, sys.argv[2:]))
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limits on the size of files")
def test_a_limit_on_the_size_of_files(files: Path, tmp_path: Path) -> None:
    """What any user can have: a quota. One line, exit status 2, no half of a checkpoint."""
    pytest.importorskip("aam_cli")
    run = tmp_path / "run"
    arguments = ["pretrain", "--table", files / "table.biom", "--tree", files / "tree.nwk", "--output-dir", run]
    arguments += ["--preset", "tiny", "--epochs", "1", "--rarefy-depth", "100", "--num-workers", "0", "--device", "cpu"]
    command = [sys.executable, "-c", LIMITED, "40000", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(r"error: .*checkpoints/step-\d+: the checkpoint could not be saved \(File too large", done.stderr)
    assert list((run / "checkpoints").iterdir()) == []


def test_folders_that_may_not_be_written_to_or_are_files(
    encoder_run: tuple[PretrainConfig, Path], changed: Configs, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainError, match="this is a file"):
        pretrain(changed(encoder_run[0], "run", output_dir=tmp_path / "file"), quiet=True)
    with pytest.raises(TrainError, match=f"{tmp_path / 'file'} is not a folder, so none can be created in it"):
        pretrain(changed(encoder_run[0], "run", output_dir=tmp_path / "file" / "run"), quiet=True)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(TrainError, match="a link to nowhere, which does not exist"):
        pretrain(changed(encoder_run[0], "run", output_dir=tmp_path / "link"), quiet=True)
