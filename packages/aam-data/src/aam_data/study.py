"""One study: counts, sequences, and what is known about its samples and ASVs, aligned by id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from aam_data.canonical import canonical_features
from aam_data.config import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.errors import DataError, first_few
from aam_data.overlap import check_missing, refuse_disjoint
from aam_data.phylogeny import Phylogeny
from aam_data.readers.biom import read_table
from aam_data.readers.distances import DistanceMatrix, read_distances
from aam_data.readers.fasta import read_sequences
from aam_data.readers.metadata import Metadata, read_metadata
from aam_data.readers.newick import read_newick
from aam_data.readers.qza import Provenance, identify
from aam_data.sequences import Sequences, kind_of_ids, sequences_of_features
from aam_data.table import CountTable

_MAX_MISSING_READS = 0.05  # share of reads in ASVs outside of the tree that --missing-tips error accepts
_TOLERANCE = 1e-5
_TRANSPOSE = "Turn it round: qiime feature-table transpose"


@dataclass(frozen=True, eq=False)
class Study:
    """What AAM learns from or predicts for: B samples and A ASVs.

    Attributes:
        table: samples in the order of the file; features in canonical order (sorted by sequence). Every sample and
            every feature has reads.
        sequences: of the table's features.
        metadata: of the table's samples, in their order; samples that the file lacks miss every value.
        phylogeny: the tree, sheared to the table's features.
        distances: of the table's samples, in their order; NaN for samples that the matrix lacks.
        notes: sentences about everything that was dropped, merged or cut.
        inputs: the files that were read.
        dropped_samples: ids of samples without reads, which the table no longer has.
    """

    table: CountTable
    sequences: Sequences
    metadata: Metadata | None = None
    phylogeny: Phylogeny | None = None
    distances: DistanceMatrix | None = None
    notes: tuple[str, ...] = ()
    inputs: tuple[Provenance, ...] = ()
    dropped_samples: tuple[str, ...] = ()


def read_study(
    table: TableOptions, metadata: MetadataOptions | None = None, phylogeny: PhylogenyOptions | None = None
) -> Study:
    """Read the files of a study and align them by id.

    Raises:
        DataError: a file that its reader refuses, files that do not belong together, or samples, sequences or tips
            that are missing where the options do not allow it.
    """
    metadata, phylogeny = metadata or MetadataOptions(), phylogeny or PhylogenyOptions()
    limit, policy = table.max_input_gb, metadata.missing_samples
    file = read_table(table.table, max_input_gb=limit)
    _refuse_transposed(file.table, table.table)
    known = _read_metadata(metadata, file.table, limit)

    fasta = None if table.sequences is None else read_sequences(table.sequences, limit)
    found = sequences_of_features(file.table.feature_ids, fasta, table_path=table.table, fasta_path=table.sequences)
    features, sequences, notes = canonical_features(file.table, found, table)
    counts, dropped = _drop_empty(features, table.table, notes)

    if known is not None:
        notes += known.notes
        notes += check_missing(counts.sample_ids, known.sample_ids, known.path, policy)
        known = known.take(counts.sample_ids)
    tree = _read_tree(phylogeny, counts, sequences, limit, notes)
    distances = _read_distances(phylogeny, counts, limit, policy, notes)

    others = (table.sequences, metadata.metadata, phylogeny.tree, phylogeny.unifrac_matrix, phylogeny.matrix_ids)
    inputs = (file.provenance, *(identify(path) for path in others if path is not None))
    return Study(counts, sequences, known, tree, distances, tuple(notes), inputs, dropped)


def _refuse_transposed(table: CountTable, path: Path) -> None:
    if kind_of_ids(table.sample_ids) == "sequence":
        raise DataError(
            "the table looks transposed: its sample ids are DNA sequences",
            file=path,
            offenders=list(table.sample_ids[:3]),
            remedy=_TRANSPOSE,
        )


def _read_metadata(options: MetadataOptions, table: CountTable, limit: float) -> Metadata | None:
    if options.metadata is None:
        return None
    sample_ids = set(table.sample_ids)
    metadata = read_metadata(options.metadata, options, sample_ids=sample_ids, max_input_gb=limit)
    named = set(metadata.sample_ids)
    if sample_ids.isdisjoint(named) and not named.isdisjoint(table.feature_ids):
        problem = "the table looks transposed: this file's samples are its features"
        raise DataError(problem, file=options.metadata, remedy=_TRANSPOSE)
    refuse_disjoint(table.sample_ids, metadata.sample_ids, options.metadata)
    return metadata


def _drop_empty(table: CountTable, path: Path, notes: list[str]) -> tuple[CountTable, tuple[str, ...]]:
    has_reads = table.features_per_sample() > 0
    if not has_reads.any():
        raise DataError("no sample has reads", file=path)
    dropped = tuple(table.sample_ids[~has_reads])
    if dropped:
        what = f"{len(dropped):,} of {table.n_samples:,} samples have no reads and were dropped"
        notes.append(f"{what} ({first_few(dropped)})")
        table = table.take_samples(np.flatnonzero(has_reads))
    if not table.is_integer:
        notes.append("the table holds fractions, not reads, so it cannot be rarefied")
    return table, dropped


def _read_tree(
    options: PhylogenyOptions, table: CountTable, sequences: Sequences, limit: float, notes: list[str]
) -> Phylogeny | None:
    if options.tree is None:
        return None
    tree = read_newick(options.tree, limit)
    if tree.root_degree() > 2:
        notes.append(
            f"the root of {options.tree.name} has {tree.root_degree()} children, as in unrooted trees; UniFrac "
            "depends on the root (qiime phylogeny midpoint-root makes one)"
        )
    phylogeny = Phylogeny.from_newick(tree, table.feature_ids, sequences)
    absent = phylogeny.feature_tip < 0
    reads = np.bincount(table.data.indices, weights=table.data.counts, minlength=table.n_features)
    share = reads[absent].sum() / reads.sum()
    what = (
        f"{np.count_nonzero(absent):,} of {table.n_features:,} ASVs, with {share:.2%} of all reads, are not in the tree"
    )
    if share > _MAX_MISSING_READS and options.missing_tips == "error":
        raise DataError(
            what,
            file=options.tree,
            offenders=list(table.feature_ids[absent]),
            remedy="Give the tree of these ASVs, or leave them out of the targets with --missing-tips ignore",
        )
    notes.append(f"{what}: they are input, but not part of the targets" if absent.any() else "all ASVs are in the tree")
    sample = np.repeat(np.arange(table.n_samples), table.features_per_sample())
    bare = np.bincount(sample, weights=~absent[table.data.indices], minlength=table.n_samples) == 0
    if bare.any():
        names, n_bare = first_few(list(table.sample_ids[bare])), np.count_nonzero(bare)
        notes.append(f"{n_bare:,} of {table.n_samples:,} samples have no ASV in the tree, so no distances ({names})")
    return phylogeny


def _read_distances(
    options: PhylogenyOptions,
    table: CountTable,
    limit: float,
    policy: Literal["error", "ignore"],
    notes: list[str],
) -> DistanceMatrix | None:
    path = options.unifrac_matrix
    if path is None:
        return None
    matrix = read_distances(path, options.matrix_ids, limit)
    refuse_disjoint(table.sample_ids, matrix.ids, path)
    notes += check_missing(table.sample_ids, matrix.ids, path, policy)
    largest = matrix.values.max()
    if largest > 1 + _TOLERANCE:
        remedy = "Compute it with: ssu -m unweighted"
        raise DataError(f"distances up to {largest:g}: unweighted UniFrac is at most 1", file=path, remedy=remedy)
    return matrix.take(table.sample_ids)
