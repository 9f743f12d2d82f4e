"""`aam check` as a user sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from aam_cli.errors import run_program
from aam_cli.main import cli
from aam_data.codes import CODES
from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.study import simulate_study, write_simulated_study

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_simulated_study(simulate_study(SimulateOptions(samples=24, asvs=40, hosts=8, bases=40, depth=500)), folder)
    return folder


def check(study: Path, *more: str) -> int:
    files = ["--table", str(study / "table.biom"), "--metadata", str(study / "metadata.tsv")]
    return run_program(cli, ["check", *files, "--rarefy-depth", "100", *more])


def test_a_good_study(study: Path, capsys: Capture) -> None:
    before = sorted(study.iterdir())
    assert check(study, "--tree", str(study / "tree.nwk"), "--metadata-column", "degree_days") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.match(r"table +24 samples x \d+ features, [\d,]+ reads\n", out)
    assert "\nWARNING " in out  # hosts repeat
    assert "--group-column host" in out
    assert out.endswith("0 errors, 3 warnings: check the warnings before you train\n")
    assert sorted(study.iterdir()) == before


def test_a_bad_study(study: Path, capsys: Capture) -> None:
    assert check(study, "--metadata-column", "colour", "--group-column", "house") == 2
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\nERROR ") == 2
    assert "colour" in out
    assert "house" in out
    assert "        -> " in out
    assert out.count("  [metadata-column-missing]\n") == 2
    assert "2 errors, 0 warnings: AAM cannot use these files" in out


def test_quiet_prints_errors_and_warnings_only(study: Path, capsys: Capture) -> None:
    assert check(study, "--quiet") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert all(line.startswith("WARNING ") for line in out.splitlines())
    assert out
    assert check(study, "--quiet", "--metadata-column", "colour") == 2
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("ERROR ")
    assert all(line.startswith(("ERROR ", "WARNING ", "        -> ")) for line in out)


def test_json(study: Path, capsys: Capture) -> None:
    assert check(study, "--json", "--group-column", "host") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["facts"]["groups host"] == "8 groups of 3 samples, among 24 samples"
    assert report["findings"]
    keys = ["code", "level", "problem", "file", "place", "offenders", "count", "remedy"]
    for finding in report["findings"]:
        assert list(finding) == keys
        assert finding["level"] != "error"
        assert finding["code"] in CODES


def test_columns_need_metadata(study: Path, capsys: Capture) -> None:
    assert run_program(cli, ["check", "--table", str(study / "table.biom"), "--group-column", "host"]) == 2
    assert "--group-column is a column of --metadata" in capsys.readouterr().err
