"""Reading of a study's files, each on its own and then compared with the others, collecting all problems.

Used by `read_study`, which raises the problems, and by `aam check`, which reports them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from aam_data.errors import DataError, Problems, first_few
from aam_data.id_matching import check_missing_samples, check_not_disjoint, overlap_of, suggestion_notes
from aam_data.notes import Note
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.readers.biom.table import TableFile, read_table
from aam_data.readers.distances.checks import check_range
from aam_data.readers.distances.matrix import DistanceFile, DistanceMatrix, open_distances
from aam_data.readers.fasta import read_sequences
from aam_data.readers.metadata.metadata import Metadata, read_metadata
from aam_data.readers.newick.tree import NewickTree, read_newick
from aam_data.readers.qiime2 import Provenance, identify
from aam_data.readers.taxonomy import Taxonomy, read_taxonomy
from aam_data.sequences import Sequences
from aam_data.study.canonical_order import canonical_features
from aam_data.study.feature_sequences import kind_of_ids, sequences_of_features
from aam_data.study.frame.frame import Frame
from aam_data.study.phylogeny import MAX_TIPS, Phylogeny, tip_suggestion
from aam_data.study.sniff import wrong_flag
from aam_data.table import CountTable

T = TypeVar("T")
_MAX_MISSING_READS = 0.05  # share of reads in ASVs outside of the tree that --missing-tips error accepts
_MAX_LENGTH = 1e30  # of all branches; models learn distances as numbers of 32 bits
_TRANSPOSE = "Transpose it: qiime feature-table transpose, or t() in R"


@dataclass(frozen=True, eq=False)
class LoadedFiles:
    """Contents of a study's files, as far as they could be read; see `Study` for the other attributes.

    Attributes:
        problems: everything that must be fixed.
        table_file, metadata_file: contents of the files, before anything is aligned.
    """

    problems: Problems
    notes: tuple[Note, ...]
    table_file: CountTable | None = None
    metadata_file: Metadata | None = None
    table: CountTable | None = None
    sequences: Sequences | None = None
    metadata: Metadata | None = None
    phylogeny: Phylogeny | None = None
    distances: DistanceMatrix | None = None
    taxonomy: Taxonomy | None = None
    inputs: tuple[Provenance, ...] = ()
    dropped_samples: tuple[str, ...] = ()


def load_study(
    table: TableOptions,
    metadata: MetadataOptions,
    phylogeny: PhylogenyOptions,
    taxonomy: TaxonomyOptions | None = None,
    file: TableFile | None = None,
    frame: Frame | None = None,
) -> LoadedFiles:
    """Read every file that the options name and align them by id; problems are collected, not raised.

    Args:
        file: the table, if it was read already.
        frame: of the model that the table is for; None to take the sequences as they are.
    """
    problems, notes = Problems(), list[Note]()
    file, fasta, known, newick, matrix, taxa = _read_files(problems, table, metadata, phylogeny, taxonomy, file)
    if file is None:
        return LoadedFiles(problems, (), metadata_file=known)
    notes += file.notes
    if transposed := _transposed(file.table, table.path, known, fasta):
        problems.errors.append(transposed)  # all other messages would take features for samples
        return LoadedFiles(problems, (), file.table, known)

    readable = table.sequences is None or fasta is not None
    features = problems.collect(_with_sequences, file.table, fasta, table, frame) if readable else None
    counts, sequences, dropped, more = features or (None, None, (), [])
    notes += more
    samples, aligned = file.table if counts is None else counts, None
    if known is not None:
        notes += known.notes
        notes += problems.collect(_check_samples, file.table, samples, known.sample_ids, known.path, metadata) or []
        aligned = known.take(samples.sample_ids)
    tree = distances = None
    if newick is not None and counts is not None and sequences is not None:
        tree = problems.collect(_shear, phylogeny, newick, counts, sequences, notes)
    if matrix is not None:
        distances = problems.collect(_align_distances, phylogeny, matrix, samples, metadata, notes)
    if taxa is not None and counts is not None:
        taxa = problems.collect(_align_taxonomy, taxa, counts, notes)
    return LoadedFiles(
        problems,
        tuple(notes),
        file.table,
        known,
        counts,
        sequences,
        aligned,
        tree,
        distances,
        taxa,
        () if problems.errors else _inputs(file, table, metadata, phylogeny, taxonomy),
        dropped,
    )


class _Files(NamedTuple):
    """Files as read, each on its own; None for files that were not passed or have problems."""

    table: TableFile | None
    sequences: dict[str, bytes] | None
    metadata: Metadata | None
    tree: NewickTree | None
    distances: DistanceFile | None
    taxonomy: Taxonomy | None


def _read_files(
    problems: Problems,
    table: TableOptions,
    metadata: MetadataOptions,
    phylogeny: PhylogenyOptions,
    taxonomy: TaxonomyOptions | None,
    file: TableFile | None,
) -> _Files:
    """Read every file that the options name, without comparing them."""
    limit = table.max_input_gb
    file = file or _read_table(problems, table)
    fasta = known = newick = matrix = taxa = None
    if table.sequences is not None:
        fasta = _read(problems, "--sequences", read_sequences, table.sequences, limit)
    if metadata.metadata is not None:
        sample_ids: set[str] = set() if file is None else set(file.table.sample_ids)
        path = metadata.metadata
        known = _read(problems, "--metadata", read_metadata, path, metadata, sample_ids=sample_ids, max_input_gb=limit)
    if phylogeny.tree is not None:
        clip = phylogeny.clip_negative_lengths
        newick = _read(problems, "--tree", read_newick, phylogeny.tree, limit, clip_negative_lengths=clip)
    if phylogeny.unifrac_matrix is not None:
        path, ids, index = phylogeny.unifrac_matrix, phylogeny.matrix_ids, phylogeny.matrix_index
        samples = None if file is None else file.table.sample_ids
        matrix = _read(problems, "--unifrac-matrix", open_distances, path, ids, limit, index, samples)
    if taxonomy is not None and taxonomy.taxonomy is not None:
        taxa = _read(problems, "--taxonomy", read_taxonomy, taxonomy.taxonomy, limit)
    return _Files(file, fasta, known, newick, matrix, taxa)


def load_named_tips(
    table: TableOptions, phylogeny: PhylogenyOptions
) -> tuple[CountTable, Phylogeny, list[Note]] | TableFile:
    """Read a table and a tree whose tips have the table's ids, whatever these are; no sequences are needed.

    Features are sorted by id, so that rarefaction does not depend on the order of the file.

    Returns:
        The table, the tree sheared to it, and notes; or only the table file if the ids are sequences: `load_study`
        merges those and finds them in the tree in other ways too.

    Raises:
        DataError: problems of the files.
    """
    problems, notes, limit = Problems(), list[Note](), table.max_input_gb
    file = _read_table(problems, table)
    if file is not None and kind_of_ids(file.table.feature_ids) == "sequence":
        return file
    assert phylogeny.tree is not None
    clip = phylogeny.clip_negative_lengths
    tree = _read(problems, "--tree", read_newick, phylogeny.tree, limit, clip_negative_lengths=clip)
    problems.raise_collected()
    assert file is not None
    assert tree is not None
    notes += file.notes
    order = np.argsort(file.table.feature_ids)
    new_index = np.empty_like(order)
    new_index[order] = np.arange(len(order))
    counts, _ = _drop_empty(file.table.regroup_features(new_index, file.table.feature_ids[order]), table.path, notes)
    return counts, _shear(phylogeny, tree, counts, None, notes), notes


def _read_table(problems: Problems, options: TableOptions) -> TableFile | None:
    more = {"max_input_gb": options.max_input_gb, "relative_abundance": options.relative_abundance}
    return _read(problems, "--table", read_table, options.path, **more)


def _read(
    problems: Problems, flag: str, reader: Callable[..., T], path: Path, *arguments: Any, **more: Any
) -> T | None:
    """Read a file, or collect a problem and return None: the reader's, or that the file belongs to another flag."""
    if flag == "--metadata" and (wrong := wrong_flag(path, flag)):  # anything with a header can be read as metadata
        problems.errors.append(wrong)
        return None
    n_before = len(problems.errors)
    content = problems.collect(reader, path, *arguments, **more)
    if len(problems.errors) > n_before and (wrong := wrong_flag(path, flag)):
        problems.errors[n_before:] = [wrong]
    return content


def _inputs(
    file: TableFile,
    table: TableOptions,
    metadata: MetadataOptions,
    phylogeny: PhylogenyOptions,
    taxonomy: TaxonomyOptions | None,
) -> tuple[Provenance, ...]:
    others = [table.sequences, metadata.metadata, phylogeny.tree, phylogeny.unifrac_matrix, phylogeny.matrix_ids]
    others += [] if taxonomy is None else [taxonomy.taxonomy]
    return (file.provenance, *(identify(path) for path in others if path is not None))


def _transposed(
    table: CountTable, path: Path, metadata: Metadata | None, fasta: dict[str, bytes] | None
) -> DataError | None:
    if kind_of_ids(table.sample_ids) == "sequence":
        problem = "the table seems transposed: its sample ids are DNA sequences"
        return DataError(
            problem, code="table-transposed", file=path, offenders=list(table.sample_ids[:3]), remedy=_TRANSPOSE
        )
    if metadata is not None:
        named = set(metadata.sample_ids)
        if named.isdisjoint(table.sample_ids) and not named.isdisjoint(table.feature_ids):
            problem = "the table seems transposed: this file's samples are its features"
            return DataError(problem, code="table-transposed", file=metadata.path, remedy=_TRANSPOSE)
    if fasta and fasta.keys().isdisjoint(table.feature_ids) and fasta.keys() >= set(table.sample_ids):
        problem = "the table seems transposed: its sample ids are those of sequences"
        return DataError(
            problem, code="table-transposed", file=path, offenders=list(table.sample_ids[:3]), remedy=_TRANSPOSE
        )
    return None


def _with_sequences(
    table: CountTable, fasta: dict[str, bytes] | None, options: TableOptions, frame: Frame | None
) -> tuple[CountTable, Sequences, tuple[str, ...], list[Note]]:
    """Bring the table's features into canonical order and drop samples without reads; return their ids and notes."""
    if not (table.depths() > 0).any():
        raise DataError("no sample has reads", code="table-no-reads", file=options.path)
    known = sequences_of_features(table.feature_ids, fasta, table_path=options.path, fasta_path=options.sequences)
    features, sequences, notes = canonical_features(table, known, options, frame)
    counts, dropped = _drop_empty(features, options.path, notes)
    return counts, sequences, dropped, notes


def _drop_empty(table: CountTable, path: Path, notes: list[Note]) -> tuple[CountTable, tuple[str, ...]]:
    has_reads = table.features_per_sample() > 0
    if not has_reads.any():
        raise DataError("no sample has reads", code="table-no-reads", file=path)
    dropped = tuple(table.sample_ids[~has_reads])
    if dropped:
        what = f"{len(dropped):,} of {table.n_samples:,} samples have no reads and were dropped"
        notes.append(Note("table-samples-without-reads", f"{what} ({first_few(dropped)})"))
        table = table.take_samples(np.flatnonzero(has_reads))
    return table, dropped


def _check_samples(
    file: CountTable, samples: CountTable, other_ids: Collection[str], path: Path, options: MetadataOptions
) -> list[Note]:
    check_not_disjoint(file.sample_ids, other_ids, path)
    return check_missing_samples(samples.sample_ids, other_ids, path, options.missing_samples)


def _shear(
    options: PhylogenyOptions, tree: NewickTree, table: CountTable, sequences: Sequences | None, notes: list[Note]
) -> Phylogeny:
    assert options.tree is not None
    notes += tree.notes
    phylogeny = Phylogeny.from_newick(tree, table.feature_ids, sequences, options.tree)
    _check_lengths(phylogeny, options.tree)
    absent = phylogeny.feature_tip < 0
    reads = table.reads_per_feature()
    share = reads[absent].sum() / reads.sum()
    what = (
        f"{np.count_nonzero(absent):,} of {table.n_features:,} ASVs, with {share:.2%} of all reads, are not in the tree"
    )
    is_error = share > _MAX_MISSING_READS and options.missing_tips == "error"
    search = absent.any() and (is_error or tree.n_tips <= MAX_TIPS)
    suggestion = tip_suggestion(tree.tip_names, table.feature_ids[absent]) if search else None
    if is_error:
        remedy = "Pass the tree of these ASVs, or leave them out of distances with --missing-tips ignore"
        raise DataError(
            f"Table observation IDs are not a subset of the tree tips: {what}",
            code="tree-tips-missing",
            file=options.tree,
            offenders=list(table.feature_ids[absent]),
            remedy=f"{suggestion}. {remedy}" if suggestion else remedy,
        )
    if absent.any():
        notes.append(Note("tree-tips-missing", f"{what}: distances ignore them"))
    else:
        notes.append(Note("tree-complete", "all ASVs are in the tree"))
    notes += suggestion_notes(suggestion)
    bare = table.number_of(~absent) == 0
    if bare.any():
        names, n_bare = first_few(list(table.sample_ids[bare])), np.count_nonzero(bare)
        what = f"{n_bare:,} of {table.n_samples:,} samples have no ASV in the tree and no distances ({names})"
        notes.append(Note("tree-samples-without-tips", what))
    return phylogeny


def _check_lengths(phylogeny: Phylogeny, path: Path) -> None:
    """Raise DataError for branch lengths with which all distances are equal, or overflow."""
    with np.errstate(over="ignore"):
        total = float(phylogeny.branch_length.sum())
    if total == 0:
        problem = f"all {phylogeny.n_branches:,} branches above the table's ASVs have length 0, so all distances are 0"
        raise DataError(problem, code="tree-lengths-zero", file=path, remedy="Pass a tree with branch lengths")
    if total > _MAX_LENGTH:
        problem = f"the branch lengths above the table's ASVs add up to {total:g}, more than {_MAX_LENGTH:g}"
        longest = f"the longest is {phylogeny.branch_length.max():g}"
        raise DataError(
            problem, code="tree-lengths-too-large", file=path, offenders=[longest], remedy="Correct the branch lengths"
        )


def _align_distances(
    options: PhylogenyOptions,
    matrix: DistanceFile,
    table: CountTable,
    metadata: MetadataOptions,
    notes: list[Note],
) -> DistanceMatrix:
    path = options.unifrac_matrix
    assert path is not None
    notes += [*matrix.notes, *_check_samples(table, table, matrix.ids, path, metadata)]
    distances = matrix.take(table.sample_ids)
    check_range(distances.ids, distances.values, options.pair_metric, path)
    return distances


def _align_taxonomy(taxonomy: Taxonomy, table: CountTable, notes: list[Note]) -> Taxonomy:
    aligned = taxonomy.take(table.feature_ids)
    if unknown := sum(taxon is None for taxon in aligned.taxa):
        what = f"{unknown:,} of {table.n_features:,} ASVs are not in {taxonomy.path}"
        notes.append(Note("taxonomy-missing", f"{what}: they are model input, but not part of the taxonomy to learn"))
        notes += suggestion_notes(overlap_of(table.feature_ids, taxonomy.feature_ids).suggestion())
    return aligned
