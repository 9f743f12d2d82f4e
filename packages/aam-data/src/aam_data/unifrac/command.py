"""`aam unifrac`: compute a distance matrix, or Faith's PD, from a table and its tree."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np

from aam_data.errors import first_few
from aam_data.options.base import UnifracMetric
from aam_data.options.commands import UnifracOptions
from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.preprocessing.rarefaction import Rarefier, deep_enough, shallow_report
from aam_data.study.load import load_named_tips
from aam_data.study.phylogeny import Phylogeny
from aam_data.study.study import read_study
from aam_data.table import CountTable, SampleCounts
from aam_data.unifrac.branch_shares import on_tree
from aam_data.unifrac.unifrac import BLOCKS_VERSION, faith_pd, unifrac_blocks
from aam_data.unifrac.write import (
    check_distance_suffix,
    check_faith_pd_suffix,
    extra_files,
    write_distances,
    write_faith_pd,
)
from aam_data.writers.atomic import check_output

_DRAW = -1  # the fixed draw of validation, so that the file has the distances that models are validated on


def run_unifrac(
    table: TableOptions,
    options: UnifracOptions,
    note: Callable[[str], None] = lambda text: None,
    progress: Callable[[float], None] = lambda share: None,
) -> Path:
    """Compute distances, or Faith's PD, of all samples of a table and write them.

    The same call continues an interrupted matrix, see ``write_distances``.

    Args:
        table: the table and its sequences.
        options: tree, metric and output.
        note: callback for messages about dropped, merged and skipped data.
        progress: callback for the finished share of the matrix, from 0 to 1, several times a second.

    Returns:
        The file.

    Raises:
        DataError: bad input; nothing was written.
    """
    output = options.output
    inputs = {"--table": table.table, "--sequences": table.sequences, "--tree": options.tree}
    if options.unifrac_metric == "faith_pd":
        check_output(output, inputs, overwrite=options.overwrite)
        check_faith_pd_suffix(output)
    else:
        check_output(output, inputs, temporary=extra_files(output), overwrite=options.overwrite)
        check_distance_suffix(output)

    phylogeny = PhylogenyOptions(
        tree=options.tree, missing_tips=options.missing_tips, clip_negative_lengths=options.clip_negative_lengths
    )
    counts, tree = _counts_and_tree(table, phylogeny, note)
    if shallow := shallow_report(counts, options.rarefy_depth):
        note(shallow)
    rows = np.flatnonzero(deep_enough(counts, options.rarefy_depth))
    rarefier = Rarefier(counts, options.rarefy_depth, options.seed)

    rows = rows[_on_tree(tree, rarefier, rows, note)]
    ids, samples = counts.sample_ids[rows], rarefier.draw(rows, _DRAW)
    if options.unifrac_metric == "faith_pd":
        write_faith_pd(output, ids, faith_pd(tree, samples))
    else:
        metric, alpha = options.unifrac_metric, options.unifrac_alpha
        blocks = partial(unifrac_blocks, tree, samples, metric, alpha)
        key = _digest(tree, ids, samples, metric, alpha)
        write_distances(output, ids, blocks, key, progress=progress, note=note)
    note(f"{len(ids):,} samples written")
    return output


def _counts_and_tree(
    table: TableOptions, phylogeny: PhylogenyOptions, note: Callable[[str], None]
) -> tuple[CountTable, Phylogeny]:
    """Read table and tree; ids that are the names of the tree's tips, such as hashes, need no sequences."""
    named = load_named_tips(table, phylogeny) if table.sequences is None else None
    if isinstance(named, tuple):
        counts, tree, notes = named
    else:
        study = read_study(table, phylogeny=phylogeny, file=named)
        assert study.phylogeny is not None
        counts, tree, notes = study.table, study.phylogeny, list(study.notes)
    for text in notes:
        note(text)
    return counts, tree


def _on_tree(tree: Phylogeny, rarefier: Rarefier, rows: np.ndarray, note: Callable[[str], None]) -> np.ndarray:
    """Find which of the samples ``rows`` have reads on the tree in the draw, bool [R]."""
    sample, _, _ = on_tree(tree, rarefier.draw(rows, _DRAW))
    has_reads = np.bincount(sample, minlength=len(rows)) > 0
    if not has_reads.all():
        names = first_few(list(rarefier.table.sample_ids[rows[~has_reads]]))
        note(f"{np.count_nonzero(~has_reads):,} samples have no reads on the tree and are left out ({names})")
    return has_reads


def _digest(phylogeny: Phylogeny, ids: np.ndarray, samples: SampleCounts, metric: UnifracMetric, alpha: float) -> str:
    """Compute a digest of everything that determines the matrix."""
    digest = blake2b(f"{BLOCKS_VERSION} {metric} {alpha!r} {len(ids)}\n".encode(), digest_size=16)
    digest.update("\n".join(ids).encode())
    tree = (phylogeny.tip_start, phylogeny.tip_stop, phylogeny.branch_length, phylogeny.feature_tip)
    for array in (*samples, *tree):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
