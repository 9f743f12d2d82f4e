"""Distances and ids in one .npz file."""

from __future__ import annotations

import numpy as np

from .case import Case, Says
from .distance_files import NPZ, case, npz
from .good_study import SAMPLES, distances

CASES: list[Case] = [
    case("npz_good", npz(distances=distances(), ids=np.array(SAMPLES)), matrix=NPZ),
    case(
        "npz_unknown_key",
        npz(matrix=distances(), ids=np.array(SAMPLES)),
        Says(NPZ, "expected the arrays distances and ids, found", "", ("matrix", "ids"), 2),
        matrix=NPZ,
    ),
    case(
        "npz_pickled_ids",
        npz(distances=distances(), ids=np.array(SAMPLES, dtype=object)),
        Says(NPZ, "Python objects", "ids", remedy="astype(str)"),
        matrix=NPZ,
    ),
    case(
        "npz_ids_are_numbers",
        npz(distances=distances(), ids=np.arange(16)),
        Says(NPZ, "expected a list of text", "ids", remedy="dtype=str"),
        matrix=NPZ,
    ),
]
