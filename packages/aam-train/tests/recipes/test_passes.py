"""Several passes: the mean and the variance of predictions of single draws, each computed on its own."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from aam_data.options.files import TableOptions
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.study.study import Study
from aam_train.options.commands import PredictOptions
from aam_train.options.recipe_configs import PredictConfig, TrainConfig
from aam_train.recipes.predict import predict

DEPTH = 100  # of the runs


@pytest.fixture(scope="session")
def draws(study: Study, write_table: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A table of each of the first three fixed draws: rarefaction to the depth that it has changes nothing."""
    folder, files = tmp_path_factory.mktemp("draws"), []
    rarefier = Rarefier(study.table, DEPTH, seed=42)
    sequences = [study.sequences.text(row) for row in range(study.table.n_features)]
    for number in (-1, -2, -3):
        counts = rarefier.draw(np.arange(study.table.n_samples), number)
        dense = csr_array((counts.counts, counts.indices, counts.indptr), (counts.n_samples, len(sequences))).toarray()
        seen = dense.any(axis=0)
        kept = [sequence for sequence, is_seen in zip(sequences, seen, strict=True) if is_seen]
        files.append(write_table(folder / f"{-number}.biom", list(study.table.sample_ids), kept, dense[:, seen]))
    return files


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, dialect="excel-tab"))


def figures(file: Path, names: list[str]) -> np.ndarray:
    return np.array([[float(row[name]) for name in names] for row in rows_of(file)])


@pytest.mark.parametrize("kind", ["number", "class"])
def test_passes_are_averaged_and_their_variance_is_written(
    kind: str,
    number_run: tuple[TrainConfig, Path],
    class_run: tuple[TrainConfig, Path],
    draws: list[Path],
    files: Path,
    tmp_path: Path,
) -> None:
    """Compare with predictions of tables that hold one draw each."""
    config, run = number_run if kind == "number" else class_run
    assert config.run.seed == 42
    suffix, names = ("_full", ["prediction"]) if kind == "number" else ("_probabilities", ["healthy", "stressed"])

    def predicted(table: Path, output: Path, **options: Any) -> np.ndarray:
        settings = PredictOptions(run, output, device="cpu", **options)
        predict(PredictConfig(TableOptions(table), settings), quiet=True)
        return figures(output.with_name(f"{output.stem}{suffix}.tsv"), names)

    singles = np.stack([predicted(table, tmp_path / f"{table.stem}.tsv") for table in draws])
    assert (singles[0] != singles[1]).any()
    assert (singles[1] != singles[2]).any()
    first = predicted(files / "table.biom", tmp_path / "first.tsv", prediction_passes=1)
    np.testing.assert_allclose(first, singles[0], rtol=1e-5)
    mean = predicted(files / "table.biom", tmp_path / "mean.tsv", prediction_passes=3, output_variance=True)
    np.testing.assert_allclose(mean, singles.mean(axis=0), rtol=1e-5)
    (variance,) = figures(tmp_path / "mean_full.tsv", ["variance"]).T
    likeliest = mean.argmax(axis=1)
    np.testing.assert_allclose(variance, singles.var(axis=0)[np.arange(len(mean)), likeliest], rtol=1e-3, atol=1e-9)
    assert "variance" not in rows_of(tmp_path / "first_full.tsv")[0]
    assert variance.max() > 0
