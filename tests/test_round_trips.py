"""What AAM writes, others read: scikit-bio, pandas, biom-format, h5py, QIIME 2 by its rules, and AAM itself."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import NamedTuple

import biom
import h5py
import numpy as np
import pandas as pd
import pytest
from skbio import DistanceMatrix, TreeNode
from skbio.diversity import alpha_diversity, beta_diversity

from aam_cli.errors import run_program
from aam_cli.main import cli
from aam_data.options.files import MetadataOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.readers.biom.table import read_table
from aam_data.readers.distances.faith_pd import read_faith_pd
from aam_data.readers.distances.matrix import read_distances
from aam_data.readers.fasta import read_sequences
from aam_data.readers.metadata.metadata import read_metadata
from aam_data.readers.newick.tree import read_newick
from aam_data.simulate.study import SimulatedStudy, simulate_study, write_simulated_study
from aam_data.splits.splits import Splits, read_splits
from aam_train.evaluation.predictions import Predictions, write_full, write_predictions

from .broken_files.good_study import COUNTS, FEATURES, tree_text, write_hdf5_table

# What spreadsheets and careless readers would change.
NAMES = [
    "001",
    "1e5",
    "10.10",
    "s 1",
    "NA",
    "nan",
    "\u00e9\u4e2d",
    "s'3",
    "1234.s4",
    "TRUE",
    "a,b",
    "-1",
    "0x1",
    "s;1",
    "x%y",
    "z",
]

MISSING = re.compile("(?i)(missing|not (applicable|collected|provided)|restricted access)(: .*)?$")


class Qiime2Metadata(NamedTuple):
    """Ids, and by column the type and the cells; None where a cell is empty."""

    ids: list[str]
    columns: dict[str, tuple[str, list[str | None]]]


def qiime2_metadata(path: Path) -> Qiime2Metadata:
    """Read a file by the rules of qiime2/metadata/io.py and base.py; AssertionError where QIIME 2 would refuse it."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = [[cell.strip() for cell in row] for row in csv.reader(stream, "excel-tab", strict=True)]
    rows = [row for row in rows if any(row)]
    header, *rows = rows
    any_case = {"id", "sampleid", "sample id", "sample-id", "featureid", "feature id", "feature-id"}
    assert header[0].lower() in any_case or header[0] in {"#SampleID", "#Sample ID", "#OTUID", "#OTU ID", "sample_name"}
    names = header[1:]
    assert all(names)
    assert len(set(header)) == len(header)
    assert not any(name.lower() in any_case for name in names)
    rows = [row for row in rows if not row[0].startswith("#")]
    assert rows
    assert all(len(row) <= len(header) for row in rows)
    rows = [row + [""] * (len(header) - len(row)) for row in rows]
    ids = [row[0] for row in rows]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    columns: dict[str, tuple[str, list[str | None]]] = {}
    for i, name in enumerate(names, 1):
        cells = [row[i] or None for row in rows]
        number = re.compile(r"^[-+]?(\d*\.\d+|\d+\.?)([Ee][+-]?\d+)?$")
        numeric = all(number.match(cell) for cell in cells if cell is not None)
        columns[name] = "numeric" if numeric else "categorical", cells
    return Qiime2Metadata(ids, columns)


def pandas_text(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, index_col=0)


# ---------------------------------------------------------------------------------------------------- the simulator


@pytest.fixture(scope="module")
def simulated() -> SimulatedStudy:
    return simulate_study(
        SimulateOptions(samples=24, asvs=60, hosts=12, bases=40, depth=300, plates=3, missing_metadata=0.2, seed=3)
    )


@pytest.fixture(scope="module")
def folder(simulated: SimulatedStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    write_simulated_study(simulated, folder)
    return folder


def test_simulated_table(simulated: SimulatedStudy, folder: Path) -> None:
    theirs, ours = biom.load_table(str(folder / "table.biom")), read_table(folder / "table.biom").table
    expected = simulated.table
    for table in (theirs.ids().tolist(), ours.sample_ids.tolist()):
        assert table == expected.sample_ids.tolist()
    for table in (theirs.ids("observation").tolist(), ours.feature_ids.tolist()):
        assert table == expected.feature_ids.tolist()
    matrix = theirs.matrix_data.T.tocsr()  # samples by features
    matrix.sort_indices()
    for found, part in zip((matrix.indptr, matrix.indices, matrix.data), expected.data, strict=True):
        np.testing.assert_array_equal(found, part)
    for found, part in zip(ours.data, expected.data, strict=True):
        np.testing.assert_array_equal(found, part)


def test_simulated_metadata(simulated: SimulatedStudy, folder: Path) -> None:
    path = folder / "metadata.tsv"
    expected = simulated.metadata
    theirs = qiime2_metadata(path)
    assert theirs.ids == expected.index.tolist()
    assert list(theirs.columns) == list(expected.columns)
    frame = pandas_text(path)
    assert frame.index.tolist() == theirs.ids
    ours = read_metadata(path, MetadataOptions())
    assert ours.sample_ids.tolist() == theirs.ids
    for column, (_, cells) in theirs.columns.items():
        assert frame[column].tolist() == [cell or "" for cell in cells]
        for cell, value in zip(cells, ours.text(column), strict=True):
            assert value == cell if value is not None else cell is None or MISSING.match(cell)
    assert sum(value is None for column in ours.columns for value in ours.text(column)) > 10


def test_simulated_tree(simulated: SimulatedStudy, folder: Path) -> None:
    theirs = TreeNode.read(str(folder / "tree.nwk"), convert_underscores=False)
    branches = {}
    for node in theirs.postorder(include_self=False):
        node.below = frozenset([node.name]) if node.is_tip() else frozenset().union(*(c.below for c in node.children))
        branches[node.below] = node.length
    tree = read_newick(folder / "tree.nwk")
    last, names = tree.last_descendants(), np.array(list(tree.tip_names), dtype=object)
    first_tip, stop_tip = np.searchsorted(tree.tips, np.arange(tree.n_nodes)), np.searchsorted(tree.tips, last + 1)
    ours = {frozenset(names[first_tip[node] : stop_tip[node]]): tree.length[node] for node in range(1, tree.n_nodes)}
    assert ours == branches
    assert set(names) == set(simulated.tree.tip_names)
    np.testing.assert_array_equal(tree.length, simulated.tree.length)
    np.testing.assert_array_equal(tree.parent, simulated.tree.parent)


def test_simulated_sequences(simulated: SimulatedStudy, folder: Path) -> None:
    ours = read_sequences(folder / "rep-seqs.fasta")
    assert {name: sequence.decode() for name, sequence in ours.items()} == {
        name: name for name in simulated.tree.tip_names
    }


# --------------------------------------------------------------------------------------------- distances, diversity


@pytest.fixture(scope="module")
def unifrac(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `aam unifrac` writes about samples with difficult names, in all its formats."""
    folder = tmp_path_factory.mktemp("unifrac")
    write_hdf5_table(folder / "table.biom", COUNTS, NAMES)
    (folder / "tree.nwk").write_text(tree_text(), encoding="utf-8")
    inputs = ["unifrac", "--quiet", "--table", f"{folder}/table.biom", "--tree", f"{folder}/tree.nwk", "--output"]
    for suffix in ("tsv", "h5", "npy"):
        assert run_program(cli, [*inputs, f"{folder}/distances.{suffix}"]) == 0
    assert run_program(cli, [*inputs, f"{folder}/faith_pd.tsv", "--unifrac-metric", "faith_pd"]) == 0
    return folder


@pytest.fixture(scope="module")
def reference(unifrac: Path) -> DistanceMatrix:
    """The same distances by scikit-bio."""
    tree = TreeNode.read(str(unifrac / "tree.nwk"), convert_underscores=False)
    return beta_diversity("unweighted_unifrac", COUNTS, NAMES, taxa=FEATURES, tree=tree)


def test_distances_as_text(unifrac: Path, reference: DistanceMatrix) -> None:
    path = unifrac / "distances.tsv"
    # with a comma in a name, scikit-bio does not find the format by itself
    theirs = DistanceMatrix.read(str(path), format="lsmat", delimiter="\t", verify=False)
    frame, ours = pandas_text(path), read_distances(path)
    assert list(theirs.ids) == frame.index.tolist() == list(frame.columns) == ours.ids.tolist() == NAMES
    np.testing.assert_allclose(theirs.data, reference.data, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(ours.values, theirs.data)
    np.testing.assert_array_equal(frame.to_numpy().astype(float), theirs.data)


def test_distances_as_hdf5(unifrac: Path, reference: DistanceMatrix) -> None:
    path = unifrac / "distances.h5"
    with h5py.File(path) as file:  # the layout of ssu: unifrac-binaries, src/api.cpp
        assert file["format"].shape == file["version"].shape == (1,)
        assert (file["format"][0], file["version"][0]) == (b"BDSM", b"2020.12")
        assert h5py.check_string_dtype(file["order"].dtype).length is None
        assert [name.decode() for name in file["order"][:]] == NAMES
        assert file["matrix"].dtype == np.float32
        values = file["matrix"][:]
    np.testing.assert_allclose(values, reference.data, rtol=0, atol=1e-7)
    ours = read_distances(path)
    assert ours.ids.tolist() == NAMES
    np.testing.assert_array_equal(ours.values, values)


def test_distances_as_npy(unifrac: Path, reference: DistanceMatrix) -> None:
    path, ids = unifrac / "distances.npy", unifrac / "distances.ids.txt"
    values = np.load(path, allow_pickle=False)
    assert ids.read_text("utf-8").splitlines() == NAMES
    np.testing.assert_allclose(values, reference.data, rtol=0, atol=1e-7)
    ours = read_distances(path, ids)
    assert ours.ids.tolist() == NAMES
    np.testing.assert_array_equal(ours.values, values)


def test_faith_pd(unifrac: Path) -> None:
    path = unifrac / "faith_pd.tsv"
    tree = TreeNode.read(str(unifrac / "tree.nwk"), convert_underscores=False)
    expected = alpha_diversity("faith_pd", COUNTS, NAMES, taxa=FEATURES, tree=tree)
    frame, ours = pandas_text(path), read_faith_pd(path)  # QIIME 2 reads alpha-diversity.tsv with pandas
    assert list(frame.columns) == ["faith_pd"]
    assert frame.index.tolist() == ours.ids.tolist() == NAMES
    np.testing.assert_allclose(ours.values, expected.to_numpy(), rtol=1e-12)
    np.testing.assert_array_equal(frame["faith_pd"].astype(float), ours.values)
    np.testing.assert_array_equal(read_metadata(path, MetadataOptions()).numeric("faith_pd"), ours.values)


# ------------------------------------------------------------------------------------------------ predictions, splits

VALUES = np.array([-1.5, 0.0, 1e-12, 123456.789, 2**24 + 1, 1 / 3, 1e300, 7.0, *np.linspace(-3, 3, 8)])
CLASSES = ("a, b", 'say "ah"', "well", "\u00e9 ")


def numbers(n_targets: int) -> Predictions:
    values = np.stack([VALUES * (t + 1) for t in range(n_targets)], axis=1)
    return Predictions(np.array(NAMES, dtype=object), values, None, ("days", "age")[:n_targets], ())


def test_predicted_numbers(tmp_path: Path) -> None:
    (path,) = write_predictions(tmp_path / "predictions.tsv", numbers(1))
    assert path.read_text("utf-8").splitlines()[0] == "sample-id\tprediction"
    theirs, frame, ours = qiime2_metadata(path), pandas_text(path), read_metadata(path, MetadataOptions())
    assert theirs.columns["prediction"][0] == "numeric"
    assert theirs.ids == frame.index.tolist() == ours.sample_ids.tolist() == NAMES
    np.testing.assert_allclose(frame["prediction"].astype(float), VALUES, rtol=1e-8)
    np.testing.assert_array_equal(ours.numeric("prediction"), frame["prediction"].astype(float))


def test_predictions_of_several_targets(tmp_path: Path) -> None:
    paths = write_predictions(tmp_path / "predictions.tsv", numbers(2))
    assert [path.name for path in paths] == ["predictions-1.tsv", "predictions-2.tsv"]
    for t, path in enumerate(paths, 1):
        assert qiime2_metadata(path).columns["prediction"][0] == "numeric"
        np.testing.assert_allclose(read_metadata(path, MetadataOptions()).numeric("prediction"), VALUES * t, rtol=1e-8)


def test_predicted_classes_and_probabilities(tmp_path: Path) -> None:
    shares = np.random.Generator(np.random.PCG64(0)).dirichlet(np.ones(4), 16)
    values = np.array(CLASSES, dtype=object)[shares.argmax(axis=1)][:, None]
    predictions = Predictions(np.array(NAMES, dtype=object), values, shares, ("status",), CLASSES)
    classes, probabilities = write_predictions(tmp_path / "predictions.tsv", predictions)
    assert probabilities.name == "predictions_probabilities.tsv"
    expected = [value.strip() for value in values[:, 0]]  # cells have no outer blanks, in QIIME 2 as in AAM
    assert qiime2_metadata(classes).columns["prediction"] == ("categorical", expected)
    assert read_metadata(classes, MetadataOptions()).text("prediction").tolist() == expected
    theirs, frame = qiime2_metadata(probabilities), pandas_text(probabilities)
    assert theirs.ids == frame.index.tolist() == NAMES
    assert list(theirs.columns) == [name.strip() for name in CLASSES]
    assert {kind for kind, _ in theirs.columns.values()} == {"numeric"}
    assert tuple(frame.columns) == CLASSES
    np.testing.assert_allclose(frame.to_numpy().astype(float), shares, rtol=1e-8)


def test_the_full_table(tmp_path: Path) -> None:
    path = tmp_path / "predictions_full.tsv"
    truth = np.where(VALUES > 0, VALUES, np.nan)[:, None]
    write_full(path, numbers(1), truth=truth, columns={"split": ["test"] * 16}, not_predicted={"s17": "4 reads"})
    theirs, frame, ours = qiime2_metadata(path), pandas_text(path), read_metadata(path, MetadataOptions())
    assert theirs.ids == frame.index.tolist() == ours.sample_ids.tolist() == [*NAMES, "s17"]
    assert theirs.columns["prediction"][0] == theirs.columns["truth"][0] == "numeric"
    np.testing.assert_allclose(ours.numeric("prediction"), [*VALUES, np.nan], rtol=1e-8)
    np.testing.assert_allclose(ours.numeric("truth"), [*truth[:, 0], np.nan], rtol=1e-8)
    assert frame.loc["s17", "note"] == "not predicted: 4 reads"
    assert frame["split"].tolist() == ["test"] * 16 + [""]


def test_splits(tmp_path: Path) -> None:
    path = tmp_path / "splits.tsv"
    splits = Splits(tuple(sorted(NAMES[:9])), tuple(sorted(NAMES[9:12])), tuple(sorted(NAMES[12:])))
    splits.write(path, {name: f'h "{i // 2}"' if i % 5 else None for i, name in enumerate(NAMES)})
    assert read_splits(path) == splits
    theirs, frame = qiime2_metadata(path), pandas_text(path)
    assert sorted(theirs.ids) == sorted(frame.index) == sorted(NAMES)
    part = dict(zip(theirs.ids, theirs.columns[frame.columns[0]][1], strict=True))
    assert part == frame.iloc[:, 0].to_dict()
    ours = read_metadata(path, MetadataOptions())
    assert dict(zip(ours.sample_ids, ours.text(frame.columns[0]), strict=True)) == part
    assert sorted(name for name, value in part.items() if value == part[NAMES[0]]) == sorted(NAMES[:9])


# ------------------------------------------------------------------------------------------ embeddings and importance

MODELS = Path(__file__).parents[1] / "packages" / "aam-train" / "tests" / "stored_models"


@pytest.fixture(scope="module")
def odd_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose samples have the names above, of the features of a stored model, and their metadata."""
    folder = tmp_path_factory.mktemp("odd")
    features = [line.split("\t")[0] for line in (MODELS / "table.tsv").read_text("utf-8").splitlines()[1:]]
    counts = np.random.Generator(np.random.PCG64(1)).poisson(20, (len(features), len(NAMES))) + 5
    rows = [["#OTU ID", *NAMES], *([name, *map(str, row)] for name, row in zip(features, counts, strict=True))]
    (folder / "table.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")
    lines = ["sample-id\tdays", *(f"{name}\t{counts[0, i]}" for i, name in enumerate(NAMES))]
    (folder / "metadata.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_embeddings_and_predicted_distances(odd_study: Path, tmp_path: Path) -> None:
    table, output, distances = odd_study / "table.tsv", tmp_path / "e.tsv", tmp_path / "d.tsv"
    arguments = ["embed", "--model", MODELS / "v2" / "encoder", "--table", table, "--output", output, "--quiet"]
    assert run_program(cli, [*map(str, arguments), "--distances", str(distances), "--device", "cpu"]) == 0
    theirs, frame, ours = qiime2_metadata(output), pandas_text(output), read_metadata(output, MetadataOptions())
    assert theirs.ids == frame.index.tolist() == ours.sample_ids.tolist() == NAMES
    assert [kind for kind, _ in theirs.columns.values()] == ["numeric"] * 8
    np.testing.assert_array_equal(ours.numeric("D1"), frame["D1"].astype(float))
    matrix = DistanceMatrix.read(str(distances), format="lsmat", delimiter="\t", verify=False)
    assert list(matrix.ids) == NAMES
    np.testing.assert_allclose(matrix.data, read_distances(distances).values, rtol=1e-12)
    assert (matrix.data[~np.eye(len(NAMES), dtype=bool)] > 0).all()


def test_embeddings_of_asvs(odd_study: Path, tmp_path: Path) -> None:
    table, output = odd_study / "table.tsv", tmp_path / "a.tsv"
    arguments = ["embed", "--model", MODELS / "v2" / "encoder", "--table", table, "--output", output, "--level", "asv"]
    assert run_program(cli, [*map(str, arguments), "--device", "cpu", "--quiet"]) == 0
    ids = read_table(table).table.feature_ids.tolist()
    assert sorted(qiime2_metadata(output).ids) == sorted(pandas_text(output).index) == sorted(ids)


def test_importance(odd_study: Path, tmp_path: Path) -> None:
    output = tmp_path / "rf.tsv"
    arguments = ["rf-baseline", "--table", odd_study / "table.tsv", "--metadata", odd_study / "metadata.tsv"]
    arguments += ["--metadata-column", "days", "--output", output, "--rarefy-depth", "50", "--n-estimators", "20"]
    assert run_program(cli, [*map(str, arguments), "--n-jobs", "1", "--quiet"]) == 0
    file = tmp_path / "rf_importance.tsv"
    assert file.read_text("utf-8").splitlines()[0] == "feature\timportance"
    frame = pandas_text(file)["importance"].astype(float)
    assert sorted(frame.index) == sorted(read_table(odd_study / "table.tsv").table.feature_ids)
    assert frame.sum() == pytest.approx(1.0)
    assert frame.is_monotonic_decreasing
    assert qiime2_metadata(output).columns["prediction"][0] == "numeric"
