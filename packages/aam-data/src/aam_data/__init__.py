"""Microbiome tables, sequences, trees and metadata as checked numpy arrays.

Names are imported when they are first used, so that reading options does not import numpy, pandas or h5py.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "BiomRows": "readers.biom.row_access",
    "CategoryCodec": "preprocessing.categories",
    "CategoryCodes": "preprocessing.categories",
    "CategoryOptions": "options.metadata_inputs",
    "CategoryWeights": "preprocessing.category_weights",
    "ClassLabels": "preprocessing.class_labels",
    "CountTable": "table",
    "CovariateScaler": "preprocessing.covariates",
    "Covariates": "preprocessing.covariates",
    "DataError": "errors",
    "DistanceFile": "readers.distances.matrix",
    "DistanceMatrix": "readers.distances.matrix",
    "FaithPD": "readers.distances.faith_pd",
    "Leak": "checks.leaks",
    "MatrixTargets": "unifrac.pair_targets",
    "Metadata": "readers.metadata.metadata",
    "MetadataInputs": "preprocessing.metadata_inputs",
    "MetadataOptions": "options.files",
    "Overlap": "id_matching",
    "PairTargets": "unifrac.pair_targets",
    "Phylogeny": "study.phylogeny",
    "PhylogenyOptions": "options.files",
    "Preprocessor": "preprocessing.preprocessor",
    "Provenance": "readers.qiime2",
    "Rarefier": "preprocessing.rarefaction",
    "Sample": "preprocessing.dataset",
    "SampleCounts": "table",
    "SampleDataset": "preprocessing.dataset",
    "SampleOptions": "options.samples",
    "Sequences": "sequences",
    "SimulateOptions": "options.simulate",
    "SplitOptions": "options.samples",
    "Splits": "splits.splits",
    "Study": "study.study",
    "Suggestion": "id_matching",
    "TableOptions": "options.files",
    "TargetOptions": "options.targets",
    "TargetScale": "options.targets",
    "TargetSpec": "preprocessing.target",
    "Taxonomy": "readers.taxonomy",
    "TreeTargets": "unifrac.pair_targets",
    "UnifracOptions": "options.commands",
    "build_sequences": "sequences",
    "closest_transformation": "id_matching",
    "cross_validation": "splits.splits",
    "faith_pd": "unifrac.unifrac",
    "open_distances": "readers.distances.matrix",
    "find_leaks": "checks.leaks",
    "overlap_of": "id_matching",
    "open_biom_rows": "readers.biom.row_access",
    "read_distances": "readers.distances.matrix",
    "read_faith_pd": "readers.distances.faith_pd",
    "read_metadata": "readers.metadata.metadata",
    "read_newick": "readers.newick.tree",
    "read_sequences": "readers.fasta",
    "read_splits": "splits.splits",
    "read_study": "study.study",
    "read_table": "readers.biom.table",
    "read_taxonomy": "readers.taxonomy",
    "simulate_study": "simulate.study",
    "split_samples": "splits.splits",
    "strata_of": "splits.strata",
    "unifrac_distances": "unifrac.unifrac",
    "write_distances": "unifrac.write",
    "write_faith_pd": "unifrac.write",
    "write_simulated_study": "simulate.study",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
