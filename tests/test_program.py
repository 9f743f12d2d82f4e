"""The whole way as a user goes it, on a small simulated study: each command on what the one before wrote."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from skbio import DistanceMatrix, TreeNode
from skbio.diversity import beta_diversity

from aam_cli.errors import run_program
from aam_cli.main import cli
from aam_data.readers.biom.table import read_table

Capture = pytest.CaptureFixture[str]
SMALL = ("--preset", "tiny", "--epochs", "1", "--rarefy-depth", "100", "--num-workers", "0", "--device", "cpu")


def aam(*arguments: object) -> int:
    return run_program(cli, [str(argument) for argument in arguments])


def cells(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, a pretrained encoder and a trained predictor, made without a word."""
    folder = tmp_path_factory.mktemp("way")
    study = folder / "study"
    inputs = ("--table", study / "table.biom", "--metadata", study / "metadata.tsv", "--group-column", "host")
    size = ("--samples", "40", "--asvs", "60", "--hosts", "10", "--bases", "40", "--depth", "500")
    assert aam("simulate", "--quiet", "--output-dir", study, *size) == 0
    tree = ("--tree", study / "tree.nwk")
    assert aam("pretrain", "--quiet", *inputs, *tree, *SMALL, "--output-dir", folder / "encoder") == 0
    target = ("--metadata-column", "degree_days", "--pretrained-encoder", folder / "encoder")
    assert aam("train", "--quiet", *inputs, *target, *SMALL, "--output-dir", folder / "run") == 0
    return folder


def test_predict_repeats_the_predictions_of_the_run(way: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "predictions.tsv"
    assert (
        aam("predict", "--quiet", "--model", way / "run", "--table", way / "study/table.biom", "--output", output) == 0
    )
    assert capsys.readouterr() == ("", "")
    now, before = cells(output), cells(way / "run" / "predictions.tsv")
    assert now[0] == before[0] == ["sample-id", "prediction"]
    assert len(now) == 41
    predicted = {name: float(value) for name, value in now[1:]}
    assert len(before) > 1
    for name, value in before[1:]:
        assert predicted[name] == pytest.approx(float(value), rel=1e-5)


def test_show_says_what_the_model_is(way: Path, capsys: Capture) -> None:
    assert aam("show", way / "run") == 0
    text = capsys.readouterr().out
    for words in ("degree_days", "random forest", "100 drawn per sample", "study/table.biom"):
        assert words in text


def test_a_run_repeats_from_its_own_config(way: Path, tmp_path: Path) -> None:
    config = way / "run" / "config.toml"
    assert aam("train", "--quiet", "--config", config, "--output-dir", tmp_path / "again") == 0
    for name in ("predictions.tsv", "splits.tsv"):
        assert (tmp_path / "again" / name).read_text() == (way / "run" / name).read_text()


def test_unifrac_equals_scikit_bio(way: Path, tmp_path: Path) -> None:
    study, output = way / "study", tmp_path / "distances.tsv"
    files = ("--table", study / "table.biom", "--tree", study / "tree.nwk", "--output", output)
    assert aam("unifrac", "--quiet", *files) == 0
    table = read_table(study / "table.biom").table
    dense = np.zeros((table.n_samples, table.n_features), dtype=np.int64)
    for row in range(table.n_samples):
        features, counts = table.data.row(row)
        dense[row, features] = counts
    tree = TreeNode.read(str(study / "tree.nwk"), convert_underscores=False)
    tree.length = 0.0
    expected = beta_diversity("unweighted_unifrac", dense, table.sample_ids, taxa=table.feature_ids, tree=tree)
    written = DistanceMatrix.read(str(output)).filter(expected.ids)
    np.testing.assert_allclose(written.data, expected.data, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--metadata-column", "degre_days"], "degree_days"),
        (["train", "--metadata-column", "degree_days", "--output-dir", "{way}/run"], "not empty"),
        (["predict", "--model", "{way}/encoder"], "predicts no targets"),
        (["predict", "--model", "{way}/study"], "{way}/study"),
        (["unifrac", "--tree", "{way}/study/tree.nwk", "--output", "{out}/d.csv"], ".h5, .tsv, .npy"),
        (
            ["unifrac", "--tree", "{way}/study/tree.nwk", "--output", "{way}/study/tree.nwk"],
            "the file passed to --tree",
        ),
        (["unifrac", "--tree", "{way}/study/absent.nwk", "--output", "{out}/d.tsv"], "absent.nwk"),
        (["pretrain"], "--tree"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    way: Path, tmp_path: Path, arguments: list[str], message: str, capsys: Capture
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    rest = {
        "train": ["--metadata", "{way}/study/metadata.tsv", *SMALL],
        "pretrain": [*SMALL],
        "predict": ["--output", "{out}/p.tsv"],
        "unifrac": [],
    }[arguments[0]]
    if arguments[0] in ("train", "pretrain") and "--output-dir" not in arguments:
        rest += ["--output-dir", "{out}/run"]
    words = [word.format(way=way, out=out) for word in [*arguments, "--table", "{way}/study/table.biom", *rest]]
    assert aam(*words) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("error: ")
    assert message.format(way=way) in err
    assert list(out.iterdir()) == []


def test_a_damaged_model_is_refused(way: Path, tmp_path: Path, capsys: Capture) -> None:
    model = tmp_path / "model"
    shutil.copytree(way / "run" / "checkpoints" / "best", model)
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    files = ("--table", way / "study" / "table.biom", "--output", tmp_path / "p.tsv")
    assert aam("predict", "--model", model, *files) == 2
    assert "model.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "p.tsv").exists()


@pytest.mark.parametrize("more", [(), ("--attn-implementation", "math", "--no-gradient-checkpointing")])
def test_a_matrix_without_ids_is_learned_from_as_in_older_scripts(
    more: tuple[str, ...], way: Path, tmp_path: Path, capsys: Capture
) -> None:
    """The command as people have it, and two options that make it fast enough for a test."""
    table, tree = way / "study/table.biom", way / "study/tree.nwk"
    matrix = tmp_path / "unifrac.npy"
    assert aam("unifrac", "--quiet", "--table", table, "--tree", tree, "--output", matrix) == 0
    files = ("--table", table, "--unifrac-matrix", matrix)
    size = ("--preset", "tiny", "--epochs", "1")
    command = ("pretrain", *more, "--data-parallel", "--batch-size", "32", *files, "--output-dir")
    assert aam(*command, tmp_path / "output", *size) == 0
    said = capsys.readouterr().err
    assert "warning: unifrac.npy: a .npy matrix has no ids; its rows are taken to be the 40 samples of --table" in said
    assert (tmp_path / "output" / "checkpoints" / "best").exists()
    np.save(matrix, np.load(matrix)[:39, :39])
    assert aam(*command, tmp_path / "refused", *size) == 2
    assert "has no ids, and it is 39 x 39 while --table has 40 samples" in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()
