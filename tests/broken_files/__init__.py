"""Files as they break in practice, made by code: one case for each of the ways that AAM has to know.

`good_study` writes a study that is accepted, small as it is; a case breaks a copy of it and says what `aam check`
has to answer.
"""

from __future__ import annotations

from . import (
    artifacts,
    columns,
    distance_files,
    foreign_files,
    hdf5_tables,
    id_lists,
    metadata_files,
    npz_files,
    odd_layouts,
    sums,
    text_tables,
    trees,
)
from .case import Case

CASES: list[Case] = [
    case
    for module in (
        *(hdf5_tables, text_tables, metadata_files, trees, distance_files, artifacts, id_lists),
        *(npz_files, foreign_files, odd_layouts, sums, columns),
    )
    for case in module.CASES
]
