"""From a field to an option: types, defaults, help, the two tiers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import click
import pytest
from click.testing import CliRunner, Result

from aam_cli.command import ConfigCommand
from aam_cli.errors import Program, run_program
from aam_cli.main import cli
from aam_cli.options import field_help, heading
from aam_data.options.alias import Alias

T = TypeVar("T")
Common = Annotated[T, "common"]


@dataclass(frozen=True)
class EveryTypeOptions:
    """One of each."""

    needed: Common[Path]
    """A required path."""
    number: Common[int] = 3
    """A number."""
    rate: Annotated[float, Alias("learning_rate")] = 1e-4
    """A rate
    on two lines."""
    words: Annotated[tuple[str, ...], Alias("word")] = ()
    """May be repeated."""
    widths: tuple[int, ...] = ()
    """Widths, like 64,32."""
    mode: Literal["fast", "exact"] = "fast"
    """A choice."""
    column: str | None = None
    """A text or nothing."""
    flag: Annotated[bool, Alias("switch")] = True
    """A switch."""


@dataclass(frozen=True)
class EveryTypeConfig:
    every: EveryTypeOptions


@pytest.fixture
def built() -> list[EveryTypeConfig]:
    return []


@pytest.fixture
def command(built: list[EveryTypeConfig]) -> ConfigCommand:

    def function(config: EveryTypeConfig, program: Program) -> None:
        built.append(config)

    return ConfigCommand("every", EveryTypeConfig, function, "A command with every type.", "More words.")


def invoke(command: click.Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, obj=Program())


def test_defaults_are_those_of_the_fields(command: ConfigCommand, built: list[EveryTypeConfig]) -> None:
    assert invoke(command, "--needed", "x").exit_code == 0
    assert built == [EveryTypeConfig(EveryTypeOptions(Path("x")))]


def test_every_type_parses(command: ConfigCommand, built: list[EveryTypeConfig]) -> None:
    arguments = "--needed a/b --number -4 --rate 2 --words x --words y,z --widths 64,32 --mode exact"
    result = invoke(command, *arguments.split(), "--column", "a b", "--no-flag")
    assert result.exit_code == 0, result.output
    assert built == [
        EveryTypeConfig(EveryTypeOptions(Path("a/b"), -4, 2.0, ("x", "y,z"), (64, 32), "exact", "a b", False))
    ]


@pytest.mark.parametrize(
    "bad",
    [
        "--number 1.5",
        "--rate nan",
        "--rate inf",
        "--rate x",
        "--widths 64,,32",
        "--widths 6.4",
        "--mode slow",
        "--mod fast",
        "word",
    ],
)
def test_what_does_not_parse_is_a_usage_error(command: ConfigCommand, built: list[EveryTypeConfig], bad: str) -> None:
    assert invoke(command, "--needed", "x", *bad.split()).exit_code == 2
    assert built == []


def test_a_missing_option_is_named(command: ConfigCommand) -> None:
    result = invoke(command)
    assert result.exit_code == 2
    assert "missing --needed" in result.output


def test_help_shows_the_common_options_only(command: ConfigCommand) -> None:
    text = invoke(command, "--help").output
    assert "A command with every type." in text
    assert "More words." in text
    assert "One of each:" in text
    assert "[required]" in text
    assert "--number" in text
    assert "--rate" not in text
    assert "6 more: " in text


def test_help_all_shows_every_option_with_its_default(command: ConfigCommand) -> None:
    text = invoke(command, "--help-all").output
    for words in ("--rate", "A rate on two lines.", "0.0001", "[fast|exact]", "--flag / --no-flag", "flag]"):
        assert words in text
    assert " more: " not in text


def test_older_spellings_are_accepted_and_in_no_help(command: ConfigCommand, built: list[EveryTypeConfig]) -> None:
    result = invoke(command, *["--needed", "x", "--learning-rate", "2", "--no-switch", "--word", "a", "--word", "b"])
    assert result.exit_code == 0, result.output
    assert built == [EveryTypeConfig(EveryTypeOptions(Path("x"), rate=2.0, flag=False, words=("a", "b")))]
    assert "--learning-rate" not in invoke(command, "--help-all").output


def test_an_older_spelling_may_repeat_the_option_but_not_contradict_it(
    command: ConfigCommand, built: list[EveryTypeConfig], tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[every]\nneeded = 'x'\nlearning_rate = 3.0\n")
    assert invoke(command, "--config", str(file), "--rate", "2", "--learning-rate", "2").exit_code == 0
    assert built[0].every.rate == 2.0
    result = invoke(command, "--needed", "x", "--rate", "2", "--learning-rate", "1")
    assert result.exit_code == 2
    assert "--learning-rate is an older spelling of --rate; use one of them" in result.output


def test_help_is_the_docstring_under_the_field() -> None:
    texts = field_help(EveryTypeOptions)
    assert texts["needed"] == "A required path."
    assert list(texts) == list(EveryTypeOptions.__dataclass_fields__)
    assert heading(EveryTypeOptions) == "One of each"


def test_config_file_fills_and_the_command_line_wins(
    command: ConfigCommand, built: list[EveryTypeConfig], tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[every]\nneeded = 'from file'\nnumber = 5\nwidths = [8]\nwords = ['w']\nflag = false\n")
    result = invoke(command, "--config", str(file), "--number", "3", "--words", "v")
    assert result.exit_code == 0, result.output
    # 3 is also the default: given on the command line, it wins over the file all the same.
    expected: dict[str, Any] = {"number": 3, "widths": (8,), "words": ("v",), "flag": False}
    assert built == [EveryTypeConfig(EveryTypeOptions(Path("from file"), **expected))]


def test_words_of_the_field_are_accepted_for_values(tmp_path: Path) -> None:
    common = ["unifrac", "--table", "absent.biom", "--tree", "t.nwk", "--output", str(tmp_path / "d.tsv")]
    for value in ("unweighted", "Weighted-UniFrac", "generalized unifrac"):
        result = CliRunner().invoke(cli, [*common, "--unifrac-metric", value])
        assert "not one of" not in result.output
    refused = CliRunner().invoke(cli, [*common, "--unifrac-metric", "jaccard"])
    assert "'jaccard' is not one of 'unifrac', 'weighted'" in refused.output


@pytest.mark.parametrize(
    ("option", "meant"), [("--target", "--metadata-column"), ("--depth", "--rarefy-depth"), ("--epoch", "--epochs")]
)
def test_other_names_of_options_are_understood(option: str, meant: str) -> None:
    result = CliRunner().invoke(cli, ["train", option, "3"])
    assert f"No such option '{option}'. Did you mean '{meant}'?" in result.output


def test_quiet_keeps_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    program = Program(quiet=True)
    program.log("warning: something")
    program.log("reading")
    assert capsys.readouterr().err == "warning: something\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[every]\nnumbr = 5", "unknown key numbr (did you mean number?)"),
        (b"[every]\nnumber = 'five'", "must be a whole number"),
        (b"\xff", "line 1 is not UTF-8 text"),
        (b"", "missing --needed"),
    ],
)
def test_config_file_refusals(command: ConfigCommand, tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(content)
    result = invoke(command, "--config", str(file))
    assert result.exit_code == 2
    assert message in result.output


def test_an_absent_config_file_is_named(command: ConfigCommand, tmp_path: Path) -> None:
    result = invoke(command, "--config", str(tmp_path / "absent.toml"))
    assert result.exit_code == 2
    assert "absent.toml" in result.output


def test_deprecated_flags_are_taken_hidden_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--no-sequence-cache", "--sync-batchnorm"):
        assert (
            run_program(
                cli, ["pretrain", "--table", "absent.biom", "--output-dir", "out", "--unifrac-weight", "0", flag]
            )
            == 2
        )
        first, *_ = capsys.readouterr().err.splitlines()
        assert first.startswith(f"warning: {flag} is deprecated and does nothing: ")
    assert run_program(cli, ["pretrain", "--help-all"]) == 0
    assert "sequence-cache" not in capsys.readouterr().out
