"""Child process that reads files and reports the outcome. Run as a script.

One line of JSON in (reader, path, options), one out (end, text). What a reader returns is held to its invariants.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions
from aam_data.readers.biom.row_access import open_biom_rows
from aam_data.readers.biom.table import read_table
from aam_data.readers.distances.faith_pd import read_faith_pd
from aam_data.readers.distances.matrix import read_distances
from aam_data.readers.fasta import read_sequences
from aam_data.readers.metadata.metadata import read_metadata
from aam_data.readers.newick.tree import read_newick
from aam_data.readers.taxonomy import read_taxonomy

MAX_INPUT_GB = 0.25
ADDRESS_SPACE = 3 << 30


def distinct(ids: Any) -> None:
    assert len(ids) == len(set(ids)) > 0
    assert all(isinstance(name, str) and name.strip() for name in ids)


def table(path: Path, **options: Any) -> None:
    table = read_table(path, max_input_gb=MAX_INPUT_GB, **options).table
    distinct(table.sample_ids)
    distinct(table.feature_ids)
    indptr, indices, counts = table.data
    assert indptr.dtype == np.int64
    assert len(indptr) == table.n_samples + 1
    assert indptr[0] == 0
    assert indptr[-1] == len(indices) == len(counts)
    assert (np.diff(indptr) >= 0).all()
    assert indices.dtype == np.int32
    assert ((indices >= 0) & (indices < table.n_features)).all()
    assert (counts > 0).all()
    assert np.isfinite(counts).all()
    assert options or table.is_integer
    for row in range(table.n_samples):
        assert (np.diff(table.data.row(row)[0]) > 0).all()


def rows(path: Path) -> None:
    """Check that samples read one by one, in another order than in the file, equal those of the whole table."""
    with open_biom_rows(path, max_input_gb=MAX_INPUT_GB) as file:
        order = np.arange(file.n_samples)[::-1]
        parts = [file.take_counts(order[i : i + 1]) for i in range(len(order))]
        together = file.take_samples(order)
    for i, part in enumerate(parts):
        assert all(map(np.array_equal, part.row(0), together.data.row(i)))
        assert (part.counts > 0).all()
    with contextlib.suppress(DataError):  # it checks the other half too
        whole = read_table(path, max_input_gb=MAX_INPUT_GB).table.take_samples(order)
        assert np.array_equal(whole.sample_ids, together.sample_ids)
        assert all(map(np.array_equal, whole.data, together.data))


def metadata(path: Path) -> None:
    known = read_metadata(path, MetadataOptions(), max_input_gb=MAX_INPUT_GB)
    distinct(known.sample_ids)
    assert len(set(known.columns)) == len(known.columns)
    for column in known.columns:
        assert all(value is None or isinstance(value, str) for value in known.text(column))
        with contextlib.suppress(DataError):
            values = known.numeric(column)
            assert len(values) == len(known.sample_ids)
            assert not np.isinf(values).any()


def newick(path: Path) -> None:
    tree = read_newick(path, MAX_INPUT_GB)
    n = tree.n_nodes
    assert len(tree.length) == n > 0
    assert np.isfinite(tree.length).all()
    assert (tree.length >= 0).all()
    assert tree.parent[0] == -1
    assert ((tree.parent[1:] >= 0) & (tree.parent[1:] < np.arange(1, n))).all()
    names = list(tree.tip_names)
    assert all(names)
    assert len(names) == len(set(names))
    assert len(tree.tip_names) == tree.n_tips
    assert np.array_equal(tree.tips, np.setdiff1d(np.arange(n), tree.parent))


def sequences(path: Path) -> None:
    found = read_sequences(path, MAX_INPUT_GB)
    distinct(list(found))
    assert all(sequence.isascii() and sequence.isupper() for sequence in found.values())


def distances(path: Path, ids: str | None = None) -> None:
    matrix = read_distances(path, Path(ids) if ids else None, MAX_INPUT_GB)
    distinct(matrix.ids)
    values = matrix.values
    assert values.shape == (len(matrix.ids), len(matrix.ids))
    assert values.dtype in (np.float32, np.float64)
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    assert np.abs(values - values.T).max() <= 1e-5
    assert np.abs(np.diag(values)).max() <= 1e-5


def taxonomy(path: Path) -> None:
    found = read_taxonomy(path, MAX_INPUT_GB)
    distinct(found.feature_ids)
    assert len(found.taxa) == len(found.feature_ids)


def diversity(path: Path) -> None:
    found = read_faith_pd(path, MAX_INPUT_GB)
    distinct(found.ids)
    assert len(found.values) == len(found.ids)
    assert (found.values >= 0).all()
    assert np.isfinite(found.values).all()


READERS: dict[str, Callable[..., None]] = {
    "table": table,
    "rows": rows,
    "metadata": metadata,
    "newick": newick,
    "sequences": sequences,
    "distances": distances,
    "taxonomy": taxonomy,
    "diversity": diversity,
}


def answer(reader: str, path: str, options: dict[str, Any]) -> tuple[str, str]:
    """Return ``accepted``, ``refused`` with the message, or ``bug`` with the traceback."""
    try:
        READERS[reader](Path(path), **options)
    except DataError as error:
        one_line = str(error)
        return ("refused", one_line) if path in one_line else ("bug", f"the message does not name the file: {one_line}")
    except Exception:
        return "bug", traceback.format_exc()
    return "accepted", ""


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    warnings.simplefilter("error")
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)  # noqa: T201
