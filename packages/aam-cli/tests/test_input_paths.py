"""Files and folders that options name are looked at first: what is missing is told before torch is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import click
import pytest

from aam_cli.command import ConfigCommand
from aam_cli.commands import COMMANDS
from aam_cli.errors import Program, run_program
from aam_cli.input_paths import input_paths
from aam_cli.main import cli
from aam_cli.progress import announce_table
from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.input_path import ReadsPath
from aam_data.options.samples import SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.options.targets import TargetOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_train.options.objective import TrainObjective
from aam_train.options.recipe_configs import TrainConfig
from aam_train.options.run import RunOptions
from aam_train.options.toml import config_fields

OUTPUTS = {"output", "output_dir", "category_attention", "distances"}
HEAVY = ("torch", "pandas", "scipy", "sklearn", "numpy")

FILES = ["--table", "t.biom", "--metadata", "m.tsv"]
CASES = [
    (["check", *FILES], ["--table", "--metadata"]),
    (["pretrain", "--table", "t.biom", "--tree", "t.nwk", "--output-dir", "run"], ["--table", "--tree"]),
    (["train", *FILES, "--metadata-column", "a", "--output-dir", "run"], ["--table", "--metadata"]),
    (["lr-find", "train", *FILES, "--metadata-column", "a", "--output-dir", "run"], ["--table", "--metadata"]),
    (["predict", "--model", "m", "--table", "t.biom", "--output", "p.tsv"], ["--table", "--model"]),
    (["evaluate", "--model", "m", "--table", "t.biom", "--output-dir", "new"], ["--table", "--model"]),
    (["embed", "--model", "m", "--table", "t.biom", "--output", "e.tsv"], ["--table", "--model"]),
    (
        ["rf-baseline", *FILES, "--metadata-column", "a", "--output", "f.tsv", "--splits-from", "run"],
        ["--table", "--metadata", "--splits-from"],
    ),
    (["unifrac", "--table", "t.biom", "--tree", "t.nwk", "--output", "d.h5"], ["--table", "--tree"]),
    (["pretrain", "--config", "run.toml"], ["--table"]),
]


@pytest.mark.parametrize(("words", "flags"), CASES, ids=lambda value: value[0])
def test_all_missing_paths_are_told_without_heavy_imports(words: list[str], flags: list[str], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        '[table]\ntable = "t.biom"\n[objective]\nunifrac_weight = 0.0\n[run]\noutput_dir = "run"\n'
    )
    program = (
        "import sys; from aam_cli.errors import run_program; from aam_cli.main import cli; "
        f"status = run_program(cli, {words!r}); print([m for m in {HEAVY} if m in sys.modules]); sys.exit(status)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    text = result.stdout + result.stderr
    assert text.count("cannot be read: No such file or directory") == len(flags)
    for flag in flags:
        assert f" to {flag}\n" in text
    assert result.stdout.endswith("[]\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_path_is_an_output_or_is_looked_at(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    if not isinstance(command, ConfigCommand):
        return
    for field in config_fields(command.root_class).values():
        marks = get_type_hints(field.owner, include_extras=True)[field.name]
        marked = any(isinstance(mark, ReadsPath) for mark in getattr(marks, "__metadata__", ()))
        assert field.kind is not Path or marked != (field.name in OUTPUTS), field.name


def test_words_instead_of_paths_are_left_alone(tmp_path: Path) -> None:
    def paths(resume_from: str, loss_config: str) -> list[str]:
        config = TrainConfig(
            TableOptions(tmp_path / "t.biom"),
            MetadataOptions(tmp_path / "m.tsv"),
            TargetOptions(("a",)),
            RunOptions(tmp_path / "run", resume_from=resume_from),
            split=SplitOptions(splits_from=tmp_path),
            objective=TrainObjective(loss_config=loss_config),
        )
        return [name for name, _, _ in input_paths(config)]

    assert paths("auto", '{"a": "mae"}') == ["table", "metadata", "splits_from"]
    assert paths("run/checkpoints/last", "losses.json") == [
        *("table", "metadata", "resume_from", "splits_from", "loss_config")
    ]


def test_a_folder_is_no_file_and_a_file_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    words = ["--model", str(file), "--table", str(tmp_path), "--output", str(tmp_path / "new.tsv")]
    assert run_program(cli, ["predict", *words]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: is a directory. Pass an existing, readable file to --table\n"
        f"error: {file}: cannot be read: Not a directory. Pass an existing, readable folder to --model\n"
    )


def test_a_job_script_is_written_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--table", str(tmp_path / "t"), "--tree", str(tmp_path), "--output-dir", "run"]
    assert run_program(cli, ["slurm", "pretrain-single", "--", *words]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("#!/bin/bash")
    assert err == (
        f"warning: {tmp_path / 't'}: cannot be read: No such file or directory. "
        "Pass an existing, readable file to --table\n"
        f"warning: {tmp_path}: is a directory. Pass an existing, readable file to --tree\n"
    )


@pytest.mark.parametrize(("terminal", "quiet", "shown"), [(True, False, 1), (True, True, 0), (False, False, 0)])
def test_the_table_is_named_at_once_on_a_terminal(
    terminal: bool, quiet: bool, shown: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    files = TableOptions(Path("t.biom")), MetadataOptions(Path("m.tsv")), TargetOptions(("a",))
    announce_table(TrainConfig(*files, RunOptions(Path("run"))), Program(quiet=quiet))
    assert capsys.readouterr().err == "reading t.biom ...\n" * shown


def test_a_wrong_column_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    study = simulate_study(SimulateOptions(samples=24, asvs=40, hosts=8, bases=40, depth=500))
    write_simulated_study(study, tmp_path / "study")
    files = ["--table", str(tmp_path / "study" / "table.biom"), "--metadata", str(tmp_path / "study" / "metadata.tsv")]
    words = ["train", *files, "--metadata-column", "degreedays", "--group-column", "hosts", "--output-dir", "run"]
    program = (
        "import sys; from aam_cli.errors import run_program; from aam_cli.main import cli; "
        f"status = run_program(cli, {words!r}); assert 'torch' not in sys.modules; sys.exit(status)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    metadata = tmp_path / "study" / "metadata.tsv"
    assert result.stderr == (
        f"error: {metadata}: no column degreedays. Nearest: degree_days\n"
        f"error: {metadata}: no column hosts. Nearest: host, status\n"
    )
    assert not (tmp_path / "run").exists()
