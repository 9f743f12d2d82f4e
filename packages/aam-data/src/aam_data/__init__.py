"""Microbiome tables, sequences, trees and metadata as checked numpy arrays.

Names are imported when they are first used, so that reading options does not import numpy, pandas or h5py.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "ClassLabels": "labels",
    "CountTable": "table",
    "DataError": "errors",
    "DistanceMatrix": "readers.distances",
    "MatrixTargets": "pair_targets",
    "Metadata": "readers.metadata",
    "MetadataOptions": "config",
    "PairTargets": "pair_targets",
    "Phylogeny": "phylogeny",
    "PhylogenyOptions": "config",
    "Preprocessor": "preprocessor",
    "Provenance": "readers.qza",
    "Rarefier": "rarefaction",
    "Sample": "dataset",
    "SampleCounts": "table",
    "SampleDataset": "dataset",
    "SampleOptions": "config",
    "Sequences": "sequences",
    "SimulateOptions": "config",
    "SplitOptions": "config",
    "Splits": "splits",
    "Study": "study",
    "TableOptions": "config",
    "TargetOptions": "config",
    "TargetSpec": "preprocessor",
    "TreeTargets": "pair_targets",
    "UnifracOptions": "config",
    "build_sequences": "sequences",
    "cross_validation": "splits",
    "faith_pd": "unifrac",
    "read_distances": "readers.distances",
    "read_metadata": "readers.metadata",
    "read_newick": "readers.newick",
    "read_sequences": "readers.fasta",
    "read_splits": "splits",
    "read_study": "study",
    "read_table": "readers.biom",
    "simulate_study": "simulate",
    "split_samples": "splits",
    "unweighted_unifrac": "unifrac",
    "write_distances": "distance_files",
    "write_faith_pd": "distance_files",
    "write_simulated_study": "simulate",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
