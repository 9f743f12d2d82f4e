"""`aam unifrac`: a table and its tree -> a matrix of distances, or Faith's PD. Read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from aam_data.config import PhylogenyOptions, TableOptions, UnifracOptions
from aam_data.distance_files import check_distance_suffix, write_distances, write_faith_pd
from aam_data.errors import first_few
from aam_data.output_files import check_output
from aam_data.rarefaction import Rarefier, deep_enough, shallow_report
from aam_data.study import read_study
from aam_data.unifrac import faith_pd, unweighted_unifrac_blocks

_DRAW = -1  # the fixed draw of validation, so that the file holds what models are judged by


def run_unifrac(table: TableOptions, options: UnifracOptions, note: Callable[[str], None] = lambda text: None) -> Path:
    """Measure all samples of a table and write the result; returns the file.

    Args:
        note: told what was dropped, merged or left out, sentence by sentence.

    Raises:
        DataError: something the user can change; nothing was written.
    """
    output = options.output
    check_output(output, {"--table": table.table, "--sequences": table.sequences, "--tree": options.tree})
    if options.unifrac_metric == "unifrac":
        check_distance_suffix(output)

    study = read_study(table, phylogeny=PhylogenyOptions(tree=options.tree, missing_tips=options.missing_tips))
    for text in study.notes:
        note(text)
    if shallow := shallow_report(study.table, options.rarefy_depth):
        note(shallow)
    rows = np.flatnonzero(deep_enough(study.table, options.rarefy_depth))
    rarefier = Rarefier(study.table, options.rarefy_depth, options.seed)
    assert study.phylogeny is not None

    diversity = faith_pd(study.phylogeny, rarefier.draw(rows, _DRAW))
    on_tree = ~np.isnan(diversity)
    if not on_tree.all():
        names = first_few(list(study.table.sample_ids[rows[~on_tree]]))
        note(f"{np.count_nonzero(~on_tree):,} samples have no read on the tree and are left out ({names})")
    rows, diversity = rows[on_tree], diversity[on_tree]
    ids = study.table.sample_ids[rows]
    if options.unifrac_metric == "faith_pd":
        write_faith_pd(output, ids, diversity)
    else:
        write_distances(output, ids, unweighted_unifrac_blocks(study.phylogeny, rarefier.draw(rows, _DRAW)))
    note(f"{len(ids):,} samples measured")
    return output
