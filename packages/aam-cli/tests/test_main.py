"""The program as a user starts it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Context, Group

from aam_cli.categorical_help import HELP
from aam_cli.command import ConfigCommand, parse_config
from aam_cli.commands import COMMANDS
from aam_cli.errors import Program
from aam_cli.main import cli

HEAVY = ("torch", "numpy", "pandas", "scipy", "h5py", "biom", "sklearn", "matplotlib", "rich", "tensorboard")
SMALL_STUDY = ("--samples", "8", "--asvs", "16", "--hosts", "4")


def aam(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aam_cli", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
    )


def imported_by(*arguments: str) -> list[str]:
    code = (
        "import sys; from aam_cli.errors import run_program; from aam_cli.main import cli;"
        f"assert run_program(cli, {list(arguments)!r}) == 0;"
        f"print([name for name in sys.modules if name.split('.')[0] in {HEAVY!r}], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return list(eval(done.stderr))


def test_help_imports_no_command_and_no_library() -> None:
    code = (
        "import sys; from aam_cli.errors import run_program; from aam_cli.main import cli;"
        "assert run_program(cli, ['--help']) == 0;"
        "print([name for name in sys.modules if name.startswith('aam_cli.commands.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert imported_by("--help") == []
    assert imported_by("--version") == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_no_library(name: str) -> None:
    assert imported_by(name, "--help") == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_module_and_the_common_switches(name: str) -> None:
    command = cli.get_command(Context(cli), name)
    assert command is not None
    assert command.name == name
    for each in command.commands.values() if isinstance(command, Group) else [command]:
        options = {option for param in each.params for option in param.opts}
        assert {"--quiet", "--debug"} <= options
    assert command.help is not None
    assert command.help.splitlines()[0] == COMMANDS[name]


def config_commands() -> Iterator[ConfigCommand]:
    for name in COMMANDS:
        command = cli.get_command(Context(cli), name)
        for each in command.commands.values() if isinstance(command, Group) else [command]:
            if isinstance(each, ConfigCommand):
                yield each


@pytest.mark.parametrize("command", list(config_commands()), ids=lambda command: command.help)
def test_the_example_of_the_help_is_a_valid_command(command: ConfigCommand) -> None:
    program, *words = shlex.split(command.example.replace("\\\n", " "))
    assert program == "aam"
    assert command.name in words[:2]
    context = command.make_context(command.name, words[words.index(command.name) + 1 :], obj=Program())
    parse_config(command.root_class, context)
    assert max(map(len, command.example.splitlines())) <= 84
    assert command.example.splitlines()[0] in aam(*words[: words.index(command.name) + 1], "--help").stdout


def test_no_argument_prints_the_help() -> None:
    done = aam()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == aam("--help").stdout


def test_version_names_what_matters_in_a_report() -> None:
    done = aam("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("aam ")
    assert "torch " in done.stdout
    assert "Python " in done.stdout


def test_help_about_metadata_as_input_needs_no_files() -> None:
    done = aam("train", "--categorical-help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == HELP
    command = cli.get_command(Context(cli), "train")
    assert command is not None
    known = {option for param in command.params for option in param.opts}
    assert set(re.findall(r"--[a-z-]+", HELP)) <= known | {"--category-attention"}


@pytest.mark.parametrize(("word", "message"), [("simulat", "did you mean 'simulate'?"), ("xyz", "no command")])
def test_unknown_command(word: str, message: str) -> None:
    done = aam(word)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("word", ["lr-find", "slurm"])
def test_a_missing_word_is_one_plain_line(word: str) -> None:
    done = aam(word)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Missing ")
    assert done.stderr.endswith(f"(see aam {word} --help)\n")
    assert "\\n" not in done.stderr
    assert "Usage" not in done.stderr


def test_values_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    target = tmp_path / "study"
    done = aam("simulate", "--output-dir", str(target), "--samples", "1", "--effect", "inf")
    assert (done.returncode, done.stdout) == (2, "")
    assert not target.exists()


def test_simulate_writes_into_new_or_empty_folders_only(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep", encoding="ascii")
    for target in (tmp_path, tmp_path / "mine.txt"):
        done = aam("simulate", "--output-dir", str(target), *SMALL_STUDY)
        assert done.returncode == 2
        assert "exists already. Use a new or an empty folder for --output-dir" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "locale",
    [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}],
    ids=["C", "ASCII", "ASCII streams"],
)
def test_names_beyond_ascii_under_any_locale(tmp_path: Path, locale: dict[str, str]) -> None:
    target = tmp_path / "h\u00f4te \u6a39"
    done = aam("simulate", "--output-dir", str(target), *SMALL_STUDY, **locale)
    assert (done.returncode, done.stderr) == (0, "")
    assert "8 samples" in done.stdout
    assert (target / "table.biom").is_file()


def test_config_file_beyond_ascii_in_the_c_locale(tmp_path: Path) -> None:
    target, file = tmp_path / "h\u00f4te", tmp_path / "run.toml"
    file.write_text(f"[output]\noutput_dir = '{target}'\n", encoding="utf-8")
    done = aam("simulate", "--config", str(file), *SMALL_STUDY, "--quiet", LC_ALL="C")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (target / "table.biom").is_file()
