"""`aam pretrain --corpus`: one study as its table, several studies together, resumed, on two processes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from aam_data.corpus.add import add_study
from aam_data.corpus.read import read_corpus
from aam_data.errors import DataError
from aam_data.options.corpus import CorpusOptions, CorpusStudyOptions
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_data.splits.splits import read_splits
from aam_models.storage.config_json import read_config
from aam_train.data.run_data import build_pairs
from aam_train.errors import RunStopped
from aam_train.objectives.unifrac import count_pairs
from aam_train.options.objective import PretrainObjective
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.options.toml import config_from_toml, config_to_toml
from aam_train.recipes import launch
from aam_train.recipes.pretrain import pretrain
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.jsonl import read_records
from aam_train.reporting.records import StepRecord

Configs = Callable[..., Any]
LENGTHS = (125, 100, 150)
SAME = ("kind", "step", "epoch", "loss", "samples", "occurrences", "asvs", "validation", "gradient_norm", "lr")


def records(run: Path) -> list[dict[str, Any]]:
    """What was reported, without times and memory."""
    return [{key: record.get(key) for key in SAME} for record in read_records(run / "metrics.jsonl")]


def assert_same_run(run: Path, expected: Path) -> None:
    """The same bits: losses, metrics, weights, optimizer, results."""
    assert records(run) == records(expected)
    for pointer in ("last", "best"):
        folders = [folder / "checkpoints" / pointer for folder in (run, expected)]
        for name in ("model.safetensors", "train_state.safetensors"):
            found, wanted = (load_file(folder / name) for folder in folders)
            assert found.keys() == wanted.keys()
            assert [key for key in wanted if found[key].tobytes() != wanted[key].tobytes()] == []
        assert (folders[0] / "preprocessor.json").read_bytes() == (folders[1] / "preprocessor.json").read_bytes()
    for name in ("report/results.json", "splits.tsv"):
        assert (run / name).read_bytes() == (expected / name).read_bytes()


@pytest.fixture(scope="session")
def corpus_config(pretrain_config: Configs) -> Configs:
    """A function that gives settings of a small pretraining on a corpus."""

    def make(
        output: Path, folder: Path, run: dict[str, Any] | None = None, temperature: float = 1.0, **sections: Any
    ) -> PretrainConfig:
        no_table = {"table": TableOptions(), "phylogeny": PhylogenyOptions(), "metadata": MetadataOptions()}
        options = {"split": SplitOptions(val_size=0.2)}
        sections = no_table | options | sections
        config: PretrainConfig = pretrain_config(output, run, corpus=CorpusOptions(folder, temperature), **sections)
        return config

    return make


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of 8, 16 and 24 samples of 125, 100 and 150 bases; the second study has no tree. Read only."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, length in enumerate(LENGTHS, 1):
        options = SimulateOptions(samples=8 * number, asvs=40, hosts=8, bases=length, depth=300, seed=length)
        own = folder / f"{length}"
        write_simulated_study(simulate_study(options), own)
        study = CorpusStudyOptions(f"b{length}", own / "tree.nwk" if length != 100 else None, prefix_samples=True)
        add_study(folder / "corpus", study, TableOptions(own / "table.biom"), MetadataOptions(own / "metadata.tsv"))
    return folder / "corpus"


@pytest.mark.parametrize("metric", ["unifrac", "weighted_unnormalized", "combined"])
def test_a_corpus_of_one_study_trains_as_its_table(
    metric: Any, files: Path, pretrain_config: Configs, corpus_config: Configs, tmp_path: Path
) -> None:
    """The same losses bit for bit, weights, preprocessing and results; splits by a column of the metadata."""
    add_study(
        tmp_path / "corpus",
        CorpusStudyOptions("only", files / "tree.nwk"),
        TableOptions(files / "table.biom"),
        MetadataOptions(files / "metadata.tsv"),
    )
    phylogeny = PhylogenyOptions(files / "tree.nwk", unifrac_metric=metric)
    config = pretrain_config(tmp_path / "table", phylogeny=phylogeny)
    pretrain(config, quiet=True)
    phylogeny = PhylogenyOptions(unifrac_metric=metric)
    on_corpus = corpus_config(tmp_path / "run", tmp_path / "corpus", split=config.split, phylogeny=phylogeny)
    pretrain(on_corpus, quiet=True)
    assert_same_run(tmp_path / "run", tmp_path / "table")
    assert config_from_toml(config_to_toml(on_corpus), PretrainConfig) == on_corpus
    inputs = json.loads((tmp_path / "run/checkpoints/last/training.json").read_text())["inputs"]
    assert [Path(entry["path"]).name for entry in inputs] == ["manifest.json", "table.biom", "metadata.tsv", "tree.nwk"]


def test_studies_of_three_lengths_with_and_without_trees(corpus: Path, corpus_config: Configs, tmp_path: Path) -> None:
    config = corpus_config(tmp_path / "run", corpus)
    pretrain(config, quiet=True)
    steps = [record for record in records(tmp_path / "run") if record["kind"] == "step"]
    assert all(np.isfinite(list(record["loss"].values())).all() for record in steps)
    assert {"unifrac", "nucleotides", "counts"} <= steps[0]["loss"].keys()
    results = json.loads((tmp_path / "run" / "report" / "results.json").read_text())
    assert np.isfinite(results["aam"]["unifrac_mae"])
    assert read_config(tmp_path / "run" / "checkpoints" / "last").max_bp == 150  # type: ignore[union-attr]


def test_pairs_count_within_a_tree_only(corpus: Path, corpus_config: Configs, tmp_path: Path) -> None:
    """The denominator of the loss is counted from the same NaN as the loss leaves out."""
    from aam_data.preprocessing.rarefaction import Rarefier

    study = read_corpus(corpus)
    pairs = build_pairs(study, Rarefier(study.table, 0, 1), PhylogenyOptions())
    assert pairs is not None
    rows = np.array([0, 3, 7, 8, 20, 30, 31, 40, 41, 47])  # 3 of the first study, 2 without a tree, 5 of the third
    distances = pairs.pairs(rows, rows, 0)
    assert np.isfinite(distances[:3, :3]).sum() == 6
    assert np.isfinite(distances).sum() == 6 + 20
    assert count_pairs(torch.from_numpy(distances)) == 3 + 10
    repeated = pairs.pairs(np.array([30, 31, 30]), np.array([30, 31, 30]), 0)
    assert count_pairs(torch.from_numpy(repeated)) == 2  # not that of a sample with itself


def test_whole_studies_are_held_out(corpus: Path, corpus_config: Configs, tmp_path: Path) -> None:
    split = SplitOptions(group_column="corpus_study", val_size=0.2, test_size=0)
    pretrain(corpus_config(tmp_path / "run", corpus, split=split, run={"epochs": 1}), quiet=True)
    splits = read_splits(tmp_path / "run" / "splits.tsv")
    studies = [{name.split("/")[0] for name in part} for part in (splits.train, splits.validation)]
    assert studies[0].isdisjoint(studies[1])
    assert len(studies[0] | studies[1]) == 3


def test_a_temperature_changes_shares_and_a_run_resumes_exactly(
    corpus: Path, corpus_config: Configs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = corpus_config(tmp_path / "whole", corpus, temperature=0.25)
    pretrain(whole, quiet=True)

    class Interrupting(ConsoleReporter):
        def step(self, record: StepRecord) -> None:
            super().step(record)
            if record.step == 7:
                os.kill(os.getpid(), signal.SIGTERM)

    config = corpus_config(tmp_path / "run", corpus, {"resume_from": "auto"}, temperature=0.25)
    with monkeypatch.context() as patch:
        patch.setattr(launch, "ConsoleReporter", Interrupting)
        with pytest.raises(RunStopped):
            pretrain(config, quiet=True)
    pretrain(config, quiet=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    plain = corpus_config(tmp_path / "plain", corpus)
    pretrain(plain, quiet=True)
    assert records(tmp_path / "plain") != records(tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_train_as_one(corpus: Path, corpus_config: Configs, changed: Configs, tmp_path: Path) -> None:
    pretrain(corpus_config(tmp_path / "one", corpus, {"batch_size": 6, "epochs": 1}), quiet=True)
    config = corpus_config(tmp_path / "two", corpus, {"batch_size": 3, "epochs": 1})
    pretrain(changed(config, "parallel", data_parallel=True, processes=2), quiet=True)
    losses = [
        [record["loss"]["total"] for record in records(tmp_path / name) if record["kind"] == "step"]
        for name in ("one", "two")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_a_corpus_that_grew_is_another_one(files: Path, corpus_config: Configs, tmp_path: Path) -> None:
    """A run is resumed with the corpus that it started on, or not at all."""
    from aam_train.errors import TrainError

    table = TableOptions(files / "table.biom")
    add_study(tmp_path / "corpus", CorpusStudyOptions("a", files / "tree.nwk"), table)
    config = corpus_config(tmp_path / "run", tmp_path / "corpus", {"epochs": 1, "resume_from": "auto"})
    pretrain(config, quiet=True)
    add_study(tmp_path / "corpus", CorpusStudyOptions("b", prefix_samples=True), table)
    with pytest.raises(TrainError, match="made from 3 files, but there are 4 now"):
        pretrain(config, quiet=True)


def test_what_a_corpus_cannot_do(corpus: Path, corpus_config: Configs, files: Path, tmp_path: Path) -> None:
    base = corpus_config(tmp_path / "run", corpus)
    for sections, message in (
        ({"table": TableOptions(files / "table.biom")}, "--table and --corpus cannot be combined"),
        ({"table": TableOptions(trim_length=90)}, "--trim-length and --corpus cannot be combined"),
        ({"phylogeny": PhylogenyOptions(files / "tree.nwk")}, "--tree and --corpus cannot be combined"),
        ({"sample": SampleOptions(asv_sampling="first")}, "--asv-sampling first and --corpus"),
        ({"corpus": CorpusOptions()}, "missing --table"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(base, **sections)
    with pytest.raises(ValueError, match="--study-temperature only applies to --corpus"):
        CorpusOptions(study_temperature=0.5)
    with pytest.raises(DataError, match="no study of the corpus has a taxonomy"):
        pretrain(replace(base, objective=PretrainObjective(taxonomy_weight=1.0)), quiet=True)
    add_study(tmp_path / "bare", CorpusStudyOptions("a"), TableOptions(files / "table.biom"))
    with pytest.raises(DataError, match="no study of the corpus has a tree"):
        pretrain(corpus_config(tmp_path / "run", tmp_path / "bare"), quiet=True)
    assert not (tmp_path / "run").exists()
    weights = PretrainObjective(unifrac_weight=0)
    pretrain(corpus_config(tmp_path / "run", tmp_path / "bare", {"epochs": 1}, objective=weights), quiet=True)
    split = SplitOptions(group_column="corpus_study", val_size=0.2, test_size=0.3)
    with pytest.raises(DataError, match=r"no two of the 16 \w+ samples are of one study with a tree"):
        pretrain(corpus_config(tmp_path / "none", corpus, split=split), quiet=True)
