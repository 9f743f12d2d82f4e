"""`aam corpus add`, `show` and `check` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aam_cli.errors import run_program
from aam_cli.main import cli

Capture = pytest.CaptureFixture[str]


def aam(*arguments: object) -> int:
    return run_program(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of two studies, of 40 and 50 bases; the second has no tree."""
    folder = tmp_path_factory.mktemp("corpus")
    for bases in (40, 50):
        study = folder / f"study-{bases}"
        size = ("--samples", "12", "--asvs", "30", "--bases", bases, "--depth", "300", "--seed", bases)
        assert aam("simulate", "--quiet", "--output-dir", study, *size) == 0
        words = ["--table", study / "table.biom", "--metadata", study / "metadata.tsv", "--prefix-samples"]
        words += ["--tree", study / "tree.nwk"] if bases == 40 else []
        assert aam("corpus", "add", "--quiet", folder / "corpus", "--name", f"b{bases}", *words) == 0
    return folder / "corpus"


def test_show_has_a_row_for_each_study(corpus: Path, capsys: Capture) -> None:
    assert aam("corpus", "show", corpus) == 0
    header, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert header[:7] == ["study", "samples", "ASVs", "reads", "bases", "tree", "taxonomy"]
    assert [(row[0], row[1], row[4], row[5], row[6]) for row in rows] == [
        ("b40", "12", "40", "yes", "no"),
        ("b50", "12", "50", "no", "no"),
    ]
    assert aam("corpus", "show", corpus, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert [study["name"] for study in content["studies"]] == ["b40", "b50"]
    assert [Path(file["path"]).name for file in content["studies"][0]["inputs"]] == [
        "table.biom", "metadata.tsv", "tree.nwk",
    ]  # fmt: skip
    assert aam("show", corpus) == 0
    assert "2 studies" in capsys.readouterr().out


def test_check_names_a_flipped_byte(corpus: Path, capsys: Capture) -> None:
    assert aam("corpus", "check", corpus) == 0
    assert "2 studies" in capsys.readouterr().out
    path = corpus / "study-0002" / "counts.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 4]))
    assert aam("corpus", "check", corpus) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: the file was changed or is damaged")
    assert "(study b50)" in error
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "{tmp}"], "{tmp}: not a corpus (it has no manifest.json). Make one with aam corpus add"),
        (["add", "{corpus}", "--table", "t.biom"], "missing --name"),
        (
            ["add", "{corpus}", "--name", "x/y", "--table", "{corpus}/manifest.json"],
            "--name 'x/y': a study is named by",
        ),
        (["add", "{corpus}", "--name", "x", "--table", "{tmp}/absent"], "absent: cannot be read: No such file"),
        (["add", "{corpus}", "--name", "x", "--table", "t", "--relative-abundance"], "a corpus holds reads"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, corpus: Path, tmp_path: Path, capsys: Capture) -> None:
    given = [word.format(tmp=tmp_path, corpus=corpus) for word in words]
    assert aam("corpus", *given) == 2
    error = capsys.readouterr().err
    assert message.format(tmp=tmp_path) in error
    assert error.count("\n") == 1
