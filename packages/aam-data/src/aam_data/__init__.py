"""Microbiome tables, sequences, trees and metadata as checked numpy arrays.

Names are imported when they are first used, so that reading options does not import numpy, pandas or h5py.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "BiomRows": "readers.biom_rows",
    "CategoryCodec": "categories",
    "CategoryCodes": "categories",
    "CategoryOptions": "category_config",
    "CategoryWeights": "category_weights",
    "ClassLabels": "labels",
    "CountTable": "table",
    "CovariateScaler": "covariates",
    "Covariates": "covariates",
    "DataError": "errors",
    "DistanceFile": "readers.distances",
    "DistanceMatrix": "readers.distances",
    "FaithPD": "readers.faith_pd",
    "Leak": "leaks",
    "MatrixTargets": "pair_targets",
    "Metadata": "readers.metadata",
    "MetadataInputs": "metadata_inputs",
    "MetadataOptions": "config",
    "Overlap": "overlap",
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
    "SimulateOptions": "simulate_config",
    "SplitOptions": "config",
    "Splits": "splits",
    "Study": "study",
    "Suggestion": "overlap",
    "TableOptions": "config",
    "TargetOptions": "config",
    "TargetScale": "target_scale",
    "TargetSpec": "fitted_target",
    "Taxonomy": "readers.taxonomy",
    "TreeTargets": "pair_targets",
    "UnifracOptions": "config",
    "build_sequences": "sequences",
    "closest_transformation": "overlap",
    "cross_validation": "splits",
    "faith_pd": "unifrac",
    "open_distances": "readers.distances",
    "find_leaks": "leaks",
    "overlap_of": "overlap",
    "open_biom_rows": "readers.biom_rows",
    "read_distances": "readers.distances",
    "read_faith_pd": "readers.faith_pd",
    "read_metadata": "readers.metadata",
    "read_newick": "readers.newick",
    "read_sequences": "readers.fasta",
    "read_splits": "splits",
    "read_study": "study",
    "read_table": "readers.biom",
    "read_taxonomy": "readers.taxonomy",
    "simulate_study": "simulate",
    "split_samples": "splits",
    "strata_of": "strata",
    "unifrac_distances": "unifrac",
    "write_distances": "distance_files",
    "write_faith_pd": "distance_files",
    "write_simulated_study": "simulate",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
