"""Three simulated studies of different read lengths, on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aam_data.corpus.add import add_study
from aam_data.options.corpus import CorpusStudyOptions
from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.study import simulate_study, write_simulated_study

LENGTHS = (150, 100, 125)  # so that the longest sequences come first


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders with table.biom, tree.nwk and metadata.tsv, by the length of the sequences."""
    folders = {}
    for length in LENGTHS:
        folders[length] = tmp_path_factory.mktemp(f"bases-{length}")
        options = SimulateOptions(samples=12, asvs=40, hosts=6, bases=length, depth=300, seed=length)
        write_simulated_study(simulate_study(options), folders[length])
    return folders


@pytest.fixture(scope="session")
def add() -> Callable[..., Path]:
    """A function that adds a study to a corpus, with a prefix of its samples unless it says otherwise."""

    def add_one(corpus: Path, study: Path, name: str, *, tree: bool = True, prefix: bool = True) -> Path:
        options = CorpusStudyOptions(name, study / "tree.nwk" if tree else None, prefix_samples=prefix)
        add_study(corpus, options, TableOptions(study / "table.biom"), MetadataOptions(study / "metadata.tsv"))
        return corpus

    return add_one


@pytest.fixture(scope="session")
def corpus(studies: dict[int, Path], add: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of the three studies, of which the second has no tree. Read only."""
    folder = tmp_path_factory.mktemp("corpora") / "corpus"
    for length, study in studies.items():
        add(folder, study, f"bases-{length}", tree=length != 100)
    return folder
