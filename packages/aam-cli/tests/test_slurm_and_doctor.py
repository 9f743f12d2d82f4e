"""`aam slurm` is `aam-rocm slurm`; `aam doctor` has the versions and the machine."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest
import torch
from click.testing import CliRunner

from aam_cli.errors import run_program
from aam_cli.main import cli
from aam_rocm_tools.main import main as rocm

WORDS = ["pretrain-node", "--account", "abc", "--", "--table", "t", "--tree", "r", "--output-dir", "run"]


def test_the_script_is_that_of_aam_rocm(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(cli, ["slurm", *WORDS]) == 0
    assert capsys.readouterr().out == CliRunner().invoke(rocm, ["slurm", *WORDS]).output


def test_what_makes_no_script_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(cli, ["slurm", "pretrain-single", "--nodes", "0"]) == 2
    assert capsys.readouterr().err == "error: --nodes 0: must be 1 or more (see aam slurm --help)\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epoch", "3"], "No such option '--epoch'. Did you mean '--epochs'? (see aam pretrain --help)"),
        (["--batch-size", "0"], "--batch-size 0: must be 1 or more"),
        (["--unifrac-metric", "braycurtis"], "'braycurtis' is not one of"),
    ],
)
def test_options_of_aam_are_checked_before_a_job_waits(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_program(cli, ["slurm", *WORDS, *words]) == 2
    out, err = capsys.readouterr()
    assert (out, message in err) == ("", True), err


def test_an_example_needs_no_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(cli, ["slurm", "array"]) == 0
    assert "--metadata-column age" in capsys.readouterr().out


def test_doctor_has_versions_and_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(cli, ["doctor"]) == 0
    text = capsys.readouterr().out
    assert f"aam-train {version('aam-train')}" in text
    assert f"PyTorch {torch.__version__}" in text
    assert run_program(cli, ["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["aam-rocm-tools"] == version("aam-rocm-tools")
    assert found["build"]["torch"] == torch.__version__
