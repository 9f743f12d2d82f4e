"""`aam unifrac` as a function: every metric and format from files, and interruption."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.base import UnifracMetric
from aam_data.options.commands import UnifracOptions
from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.readers.distances.matrix import read_distances
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_data.study.study import Study, read_study
from aam_data.unifrac.command import run_unifrac
from aam_data.unifrac.unifrac import faith_pd, unifrac_distances


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_simulated_study(simulate_study(SimulateOptions(samples=300, asvs=60, hosts=30, depth=500)), folder)
    return folder


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return read_study(TableOptions(folder / "table.biom"), phylogeny=PhylogenyOptions(tree=folder / "tree.nwk"))


def options(folder: Path, output: Path, **others: object) -> tuple[TableOptions, UnifracOptions]:
    return TableOptions(folder / "table.biom"), UnifracOptions(folder / "tree.nwk", output, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", get_args(UnifracMetric))
def test_writes_the_metric_of_the_drawn_reads(
    metric: UnifracMetric, folder: Path, study: Study, tmp_path: Path
) -> None:
    alpha = 0.5 if metric == "generalized" else 1.0
    assert study.phylogeny is not None
    for depth in (0, 200):
        rows = np.flatnonzero(study.table.depths() >= depth)
        drawn = Rarefier(study.table, depth, 42).draw(rows, -1)
        expected = unifrac_distances(study.phylogeny, drawn, None, metric, alpha)
        for suffix in (".h5", ".tsv", ".npy"):
            given = options(
                folder,
                tmp_path / f"d{suffix}",
                unifrac_metric=metric,
                unifrac_alpha=alpha,
                rarefy_depth=depth,
                overwrite=True,
            )
            written = read_distances(run_unifrac(*given), tmp_path / "d.ids.txt" if suffix == ".npy" else None)
            assert written.ids.tolist() == study.table.sample_ids[rows].tolist()
            np.testing.assert_allclose(written.values, expected, rtol=1e-6, atol=1e-7)


def test_writes_faith_pd(folder: Path, study: Study, tmp_path: Path) -> None:
    run_unifrac(*options(folder, tmp_path / "pd.tsv", unifrac_metric="faith_pd"))
    lines = [line.split("\t") for line in (tmp_path / "pd.tsv").read_text().splitlines()]
    assert study.phylogeny is not None
    expected = faith_pd(study.phylogeny, study.table.data)
    assert lines[0] == ["", "faith_pd"]
    assert [name for name, _ in lines[1:]] == study.table.sample_ids.tolist()
    np.testing.assert_allclose([float(value) for _, value in lines[1:]], expected)


def test_samples_off_the_tree_are_left_out_and_named(folder: Path, study: Study, tmp_path: Path) -> None:
    table, notes = study.table, []
    features = table.feature_ids[table.data.row(7)[0]]
    text = (folder / "tree.nwk").read_text()
    for name in features:
        text = text.replace(f"{name}:", f"gone{name}:")
    (tmp_path / "tree.nwk").write_text(text)
    given = (
        TableOptions(folder / "table.biom"),
        UnifracOptions(tmp_path / "tree.nwk", tmp_path / "d.tsv", missing_tips="ignore"),
    )
    run_unifrac(*given, note=notes.append)
    written = read_distances(tmp_path / "d.tsv").ids.tolist()
    assert table.sample_ids[7] not in written
    (line,) = [text for text in notes if "no reads on the tree" in text]
    assert f"{300 - len(written)} samples" in line
    assert notes[-1] == f"{len(written)} samples written"


def test_needs_no_library_that_takes_long_to_import(folder: Path, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from aam_data.options.commands import UnifracOptions
from aam_data.options.files import TableOptions
from aam_data.unifrac.command import run_unifrac
folder, output = map(Path, sys.argv[1:3])
run_unifrac(TableOptions(folder / "table.biom"), UnifracOptions(folder / "tree.nwk", output))
print(sorted({"pandas", "sklearn", "torch", "matplotlib"} & sys.modules.keys()))
"""
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "d.h5")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"


STOPPED = """
import os, signal, sys
from pathlib import Path
from aam_data.writers import resumable as unfinished_file
from aam_data.options.commands import UnifracOptions
from aam_data.options.files import TableOptions
from aam_data.unifrac.command import run_unifrac
unfinished_file.SECONDS_BETWEEN_MARKS = 0.0
folder, output = map(Path, sys.argv[1:3])
def stop(share):
    if share > 0.4:
        os.kill(os.getpid(), signal.SIGKILL)
run_unifrac(TableOptions(folder / "table.biom"), UnifracOptions(folder / "tree.nwk", output, "weighted"), progress=stop)
"""


@pytest.mark.parametrize("suffix", [".h5", ".tsv", ".npy"])
def test_goes_on_after_kill_9(suffix: str, folder: Path, study: Study, tmp_path: Path) -> None:
    output, notes, shares = tmp_path / f"d{suffix}", [], []
    command = [sys.executable, "-c", STOPPED, str(folder), str(output)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert not output.exists()
    with pytest.raises(DataError, match="another table, tree or options"):
        run_unifrac(*options(folder, output))
    with pytest.raises(DataError, match="another table, tree or options"):
        run_unifrac(*options(folder, output, unifrac_metric="weighted", rarefy_depth=100))
    run_unifrac(*options(folder, output, unifrac_metric="weighted"), note=notes.append, progress=shares.append)
    assert [text for text in notes if text.startswith("continuing")]
    assert min(shares) > 0.4
    written = read_distances(output, tmp_path / "d.ids.txt" if suffix == ".npy" else None)
    assert study.phylogeny is not None
    expected = unifrac_distances(study.phylogeny, study.table.data, metric="weighted")
    np.testing.assert_allclose(written.values, expected, rtol=1e-6, atol=1e-7)
    assert not list(tmp_path.glob("*.partial*"))


def test_rejects_before_reading(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.h5, \.tsv, \.npy"):
        run_unifrac(*options(tmp_path / "absent", tmp_path / "d.csv"))
    with pytest.raises(DataError, match=r"Faith's PD is written as \.tsv"):
        run_unifrac(*options(tmp_path / "absent", tmp_path / "d.h5", unifrac_metric="faith_pd"))


@pytest.mark.parametrize(
    ("output", "tree"), [("d.npy", "d.ids.txt"), ("d.npy", "d.npy.partial"), ("d.h5", "d.h5.partial.blocks")]
)
def test_inputs_are_not_overwritten(output: str, tree: str, folder: Path, tmp_path: Path) -> None:
    text = (folder / "tree.nwk").read_text()
    (tmp_path / tree).write_text(text)
    with pytest.raises(DataError, match=f"{tree}: is written next to --output {output} and is .* --tree"):
        run_unifrac(TableOptions(folder / "table.biom"), UnifracOptions(tmp_path / tree, tmp_path / output))
    assert (tmp_path / tree).read_text() == text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"unifrac_alpha": 0.5}, "--unifrac-alpha only applies to --unifrac-metric generalized .got unifrac."),
        ({"unifrac_metric": "generalized", "unifrac_alpha": 1.5}, "--unifrac-alpha 1.5: must be between 0 and 1"),
        ({"unifrac_metric": "generalized", "unifrac_alpha": float("nan")}, "--unifrac-alpha nan"),
    ],
)
def test_wrong_options(wrong: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        options(tmp_path, tmp_path / "d.tsv", **wrong)


def test_hashed_ids_need_no_sequences(shared_data: Path, tmp_path: Path) -> None:
    """QIIME 2's own files: the tips of the tree are the hashes of the table."""
    study, notes = shared_data / "tadpole", []
    for metric, name in (("unifrac", "unweighted"), ("weighted_unnormalized", "weighted")):
        output = tmp_path / f"{metric}.tsv"
        run_unifrac(
            TableOptions(study / "rarefied_table.qza"),
            UnifracOptions(
                study / "rooted-tree.qza",
                output,
                metric,
            ),  # type: ignore[arg-type]
            notes.append,
        )
        found, expected = read_distances(output), read_distances(study / f"{name}_unifrac_distance_matrix.qza")
        np.testing.assert_allclose(found.take(expected.ids).values, expected.values, atol=1e-6)
    assert "all ASVs are in the tree" in notes
    with pytest.raises(DataError, match=r"or their --sequences if these name the tips"):
        run_unifrac(
            TableOptions(study / "rarefied_table.qza"),
            UnifracOptions(shared_data / "ibd" / "insertion-tree.qza", tmp_path / "other.h5"),
        )
