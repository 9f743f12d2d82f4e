"""The studies used by benchmarks of training steps (a simulated one if data are absent), and their models."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from machine import DATA

from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import Rarefier, deep_enough
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_data.study.study import Study, read_study
from aam_models.build import build_encoder
from aam_models.config.encoder import ModelOptions
from aam_models.encoder.encoder import Encoder
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import BatchMaker
from aam_train.data.run_data import build_maker, build_pairs
from aam_train.losses.objective import Objective
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.setup.architecture import new_encoder_config

MAX_BP, SEED = 150, 0
WEIGHTS = {"unifrac": 1.0, "nucleotides": 1.0, "counts": 1.0}
MASKING = (MaskBases(0.15), HideCounts(0.15))


@dataclass(frozen=True, eq=False)
class Steps:
    """The parts of training steps."""

    name: str
    study: Study
    rarefier: Rarefier
    rows: np.ndarray
    depth: int
    objective: Objective

    def maker(self, chunk_size: int) -> BatchMaker:
        return build_maker(self.study, self.rarefier, Preprocessor(MAX_BP, 0, self.depth, SEED, 1024), chunk_size)


def read_steps(*, simulated: bool = False) -> Steps:
    """Read ibd at 5,000 reads with its tree; if absent (or on request), simulate 300 samples of 3,000 ASVs."""
    ibd = DATA / "ibd"
    if ibd.is_dir() and not simulated:
        tree = PhylogenyOptions(tree=ibd / "insertion-tree.qza", missing_tips="ignore")
        return _steps("ibd", read_study(TableOptions(ibd / "table.biom"), None, tree), 5000)
    return _simulated_steps()


def read_corpus_steps() -> Steps:
    """Read gut-corpus at 2,000 reads with its tree; if absent, simulate 300 samples of 3,000 ASVs."""
    corpus = DATA / "gut-corpus"
    if not corpus.is_dir():
        return _simulated_steps()
    tree = PhylogenyOptions(tree=corpus / "tree.nwk", missing_tips="ignore")
    return _steps("gut-corpus", read_study(TableOptions(corpus / "table.biom"), None, tree), 2000)


def _simulated_steps() -> Steps:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_simulated_study(simulate_study(SimulateOptions(samples=300, asvs=3000, bases=100)), folder)
        tree = PhylogenyOptions(tree=folder / "tree.nwk")
        return _steps("simulated", read_study(TableOptions(folder / "table.biom"), None, tree), 1000)


def _steps(name: str, study: Study, depth: int) -> Steps:
    rows, rarefier = np.flatnonzero(deep_enough(study.table, depth)), Rarefier(study.table, depth, SEED)
    pairs = build_pairs(study, rarefier, PhylogenyOptions())
    return Steps(name, study, rarefier, rows, depth, build_objective(WEIGHTS, Sources(pairs)))


def new_encoder(preset: str, bases_per_token: int = 1) -> Encoder:
    """Build an encoder with the same weights every time."""
    torch.manual_seed(SEED)
    options = ModelOptions(preset=preset, bases_per_token=bases_per_token)  # type: ignore[arg-type]
    return build_encoder(new_encoder_config(options, MAX_BP, WEIGHTS))
