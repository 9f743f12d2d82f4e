"""The simulator writes the same files block by block and at once, and readers recognise its missing values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from biom import load_table

from aam_data.options.files import MetadataOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.readers.metadata.metadata import read_metadata
from aam_data.simulate.study import run_simulate, simulate_study, write_simulated_study


@pytest.mark.parametrize(
    "options",
    [
        SimulateOptions(),
        SimulateOptions(samples=9000, asvs=900, host_asvs=500, bases=40, depth=100, plates=9, missing_metadata=0.1),
    ],
    ids=["default", "blocks"],
)
def test_written_in_blocks_or_at_once(options: SimulateOptions, tmp_path: Path) -> None:
    done: list[int] = []
    samples, features = run_simulate(options, tmp_path / "blocks", done.append)
    study = simulate_study(options)
    write_simulated_study(study, tmp_path / "whole")
    names = {file.name for file in (tmp_path / "whole").iterdir()}
    assert names == {"table.biom", "tree.nwk", "rep-seqs.fasta", "metadata.tsv", "truth.json"}
    assert {file.name for file in (tmp_path / "blocks").iterdir()} == names
    for name in names:
        assert (tmp_path / "blocks" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert (samples, features) == (study.table.n_samples, study.table.n_features)
    assert done[-1] == options.samples
    assert (np.diff(done) > 0).all()
    assert len(done) == (1 if options.samples == 160 else 3)
    table = load_table(str(tmp_path / "blocks" / "table.biom"))
    assert table.shape == (features, samples)
    assert table.sum("sample").tolist() == study.table.depths().tolist()


def test_missing_values_in_many_spellings(tmp_path: Path) -> None:
    share = 0.2
    run_simulate(SimulateOptions(samples=2000, asvs=8, plates=3, missing_metadata=share), tmp_path / "gaps")
    run_simulate(SimulateOptions(samples=2000, asvs=8, plates=3), tmp_path / "complete")
    truth = json.loads((tmp_path / "gaps" / "truth.json").read_text())["missing"]
    gaps, complete = (
        read_metadata(tmp_path / name / "metadata.tsv", MetadataOptions()) for name in ("gaps", "complete")
    )
    assert gaps.columns == complete.columns
    assert set(truth) == set(gaps.columns) - {"host", "depth"}
    assert "missing" not in json.loads((tmp_path / "complete" / "truth.json").read_text())
    written = [line.split("\t") for line in (tmp_path / "gaps" / "metadata.tsv").read_text().splitlines()]
    for column in gaps.columns:
        expected = complete.text(column)
        if column in ("degree_days", "age"):
            values = gaps.numeric(column)
            missing = np.isnan(values)
            assert np.array_equal(values[~missing], complete.numeric(column)[~missing])
        else:
            missing = np.array([value is None for value in gaps.text(column)])
            assert np.array_equal(gaps.text(column)[~missing], expected[~missing])
        if column in truth:
            assert missing.sum() == truth[column]["values"]
            assert missing.mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 2000))
            cells = {row[written[0].index(column)] for row, gone in zip(written[1:], missing, strict=True) if gone}
            assert cells == set(truth[column]["spellings"])
        else:
            assert not missing.any()
