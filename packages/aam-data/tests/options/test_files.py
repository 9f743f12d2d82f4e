"""Options of trees and matrices, from files to a study."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.commands import UnifracOptions
from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.readers.newick.tree import read_newick
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_data.study.study import read_study
from aam_data.unifrac.command import run_unifrac


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study of 6 samples whose tree has negative lengths."""
    write_simulated_study(simulate_study(SimulateOptions(samples=6, asvs=20, hosts=3)), tmp_path)
    text = (tmp_path / "tree.nwk").read_text()
    (tmp_path / "negative.nwk").write_text(text.replace(":0.00", ":-0.00"))
    return tmp_path


def test_negative_lengths(folder: Path) -> None:
    table, tree = TableOptions(folder / "table.biom"), folder / "negative.nwk"
    with pytest.raises(DataError, match=r"branch lengths are negative .*--clip-negative-lengths"):
        read_study(table, phylogeny=PhylogenyOptions(tree=tree))
    study = read_study(table, phylogeny=PhylogenyOptions(tree=tree, clip_negative_lengths=True))
    original = read_newick(folder / "tree.nwk").length
    n_small = np.count_nonzero(original[1:] < 0.01)
    assert 0 < n_small < 38
    assert f"{n_small} of 38 branch lengths are negative and were read as 0" in study.notes
    notes: list[str] = []
    output = run_unifrac(table, UnifracOptions(tree, folder / "out.tsv", clip_negative_lengths=True), notes.append)
    assert output.exists()
    assert f"{n_small} of 38 branch lengths are negative and were read as 0" in notes


def test_matrix_index(folder: Path) -> None:
    table = TableOptions(folder / "table.biom")
    ids = read_study(table).table.sample_ids
    upper = np.triu(np.random.default_rng(0).random((3, len(ids), len(ids))), 1)
    matrices = upper + upper.transpose(0, 2, 1)
    with h5py.File(folder / "multi.h5", "w") as file:
        file.create_dataset("order", data=list(ids[::-1]))
        for k, values in enumerate(matrices):
            file[f"matrix:{k}"] = values[::-1, ::-1]
    for index, expected in ((None, matrices.mean(axis=0)), (1, matrices[1])):
        study = read_study(table, phylogeny=PhylogenyOptions(unifrac_matrix=folder / "multi.h5", matrix_index=index))
        assert study.distances is not None
        np.testing.assert_allclose(study.distances.values, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"matrix_index": 0}, "--matrix-index 0: .*needs --unifrac-matrix"),
        ({"matrix_index": -1, "unifrac_matrix": Path("m.h5")}, "--matrix-index -1: must be 0 or more"),
        ({"clip_negative_lengths": True, "unifrac_matrix": Path("m.h5")}, "only applies to --tree"),
        ({"matrix_ids": Path("ids")}, "--matrix-ids"),
    ],
)
def test_options_that_contradict(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhylogenyOptions(**options)  # type: ignore[arg-type]
