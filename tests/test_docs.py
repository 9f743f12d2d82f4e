"""What the documents say is true of the program: commands parse, the help is the help, the checks are the checks."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from aam_cli.categorical_help import HELP
from aam_cli.command import ConfigCommand, parse_config
from aam_cli.errors import Program
from aam_cli.main import cli
from aam_data.codes import CODES
from aam_rocm_tools.main import main as rocm
from aam_train.recipes import demo as run_demo

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("packages/*/README.md")),
]
MAIN_JOB = "python -m pip install uv && python -m uv run aam demo --output-dir aam-demo"
TESTS = "python -m pip install uv nox && python -m nox"


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def commands(document: Path) -> list[str]:
    """Lines of the console blocks, continuations joined, prompts removed."""
    lines = "".join(blocks(document, "console")).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.strip()]


def aam_commands() -> list[str]:
    """Every `aam ...` of the documents, also at the end of a line that sets up first."""
    found = set()
    for document in DOCUMENTS:
        for line in commands(document):
            if match := re.search(r"(?:^|\buv run )(aam(?: .*)?)$", line):
                found.add(match[1])
    return sorted(found)


@pytest.mark.parametrize("line", aam_commands())
def test_documented_commands_parse_and_their_values_are_accepted(line: str) -> None:
    _, *words = shlex.split(line)
    if not words or words[0].startswith("-"):
        cli.make_context("aam", words or ["--help"], resilient_parsing=True)
        return
    context = click.Context(cli, info_name="aam", obj=Program())
    name, command, rest = cli.resolve_command(context, words)
    assert command is not None
    if {"--help", "--help-all"} & set(rest):
        return
    parsed = command.make_context(name, rest, parent=context)
    if isinstance(command, ConfigCommand) and parsed.params["config"] is None:
        parse_config(command.root_class, parsed)


def rocm_commands() -> list[str]:
    found = {line for document in DOCUMENTS for line in commands(document) if line.startswith("aam-rocm ")}
    return sorted(found)


@pytest.mark.parametrize("line", rocm_commands())
def test_documented_commands_of_the_rocm_tools_parse(
    line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = shlex.split(line.split(" > ")[0])[1:]
    monkeypatch.chdir(tmp_path)
    for word in words:  # files that a command reads have to be there
        if re.fullmatch(r"profile-\w+|runs/\w+|.*\.csv", word):
            (tmp_path / word).mkdir(parents=True, exist_ok=True)
    context = click.Context(rocm, info_name="aam-rocm")
    name, command, rest = rocm.resolve_command(context, words)
    assert command is not None
    command.make_context(name, rest, parent=context)


def test_the_steps_of_the_quickstart_are_those_of_the_demo() -> None:
    lines = [shlex.split(line)[1:] for line in commands(ROOT / "docs" / "quickstart.md") if "study/" in line]
    study, folder, encoder = Path("study"), Path("demo"), Path("demo") / "pretrain"
    expected = [
        run_demo.probe_config(study, None, folder / "probe", 42),
        run_demo.pretrain_config(study, encoder, 42),
        run_demo.probe_config(study, encoder, folder / "probe-on-encoder", 42),
        run_demo.fine_tune_config(study, encoder, folder / "fine-tuned", 42),
    ]
    for (name, *arguments), config in zip(lines, expected, strict=False):  # the last line predicts
        command = cli.get_command(click.Context(cli), name)
        assert isinstance(command, ConfigCommand)
        assert parse_config(command.root_class, command.make_context(name, arguments, obj=Program())) == config
    assert len(lines) == len(expected) + 1


def test_documented_nox_sessions_exist() -> None:
    sessions = set(re.findall(r"^def (\w+)\(session: nox.Session", (ROOT / "noxfile.py").read_text("utf-8"), re.M))
    assert sessions >= {"lint", "types", "tests", "tests_slow", "tests_package", "install", "docs", "minimums", "bench"}
    for document in DOCUMENTS:
        for named in re.findall(r"python -m nox -s (\w+)", document.read_text("utf-8")):
            assert named in sessions, document
    table = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M)
    assert {name for row in table for name in re.findall(r"\w+", row)} >= sessions - {"sync", "wheels", "constraints"}


def test_readme_has_the_two_commands_and_ci_runs_the_tests() -> None:
    lines = commands(ROOT / "README.md")
    assert lines[:2] == [MAIN_JOB, TESTS]
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(rf"^{re.escape(TESTS)}(?: \|\| exit)?$", ci, flags=re.MULTILINE)


def test_readme_shows_the_real_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = subprocess.run([sys.executable, "-m", "aam_cli", "--help"], capture_output=True, text=True, check=True)
    assert f"$ aam --help\n{done.stdout}" in blocks(ROOT / "README.md", "text")


def test_the_page_about_metadata_has_the_text_that_the_program_prints() -> None:
    assert HELP in blocks(ROOT / "docs" / "conditioning.md", "text")


def test_the_page_of_codes_is_the_table_of_the_program() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", (ROOT / "docs" / "finding-codes.md").read_text("utf-8"), re.M)
    assert rows == list(CODES.items())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(document: Path) -> None:
    links = re.findall(r"(?<!!)\[[^\]]+\]\(([^)#]+)\)", document.read_text("utf-8"))
    absent = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert absent == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documents_are_plain_text_of_readable_width(document: Path) -> None:
    text = document.read_text("utf-8")
    assert text.isascii()
    assert max((len(line) for line in text.splitlines() if not line.startswith(("|", "!"))), default=0) <= 120
