"""Taxonomy of features: QIIME 2's TSV, plain or gzip, or a FeatureData[Taxonomy] artifact.

Format after q2-types' TSVTaxonomyFormat: the first row that is neither blank nor a comment is the header
``Feature ID<TAB>Taxon``; other columns may follow. Classifiers add ``Confidence`` or ``Consensus``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.id_matching import check_not_disjoint
from aam_data.readers.delimited import Row, decode_text, is_finite_number, is_named_csv, split_rows
from aam_data.readers.ids import as_objects, check_ids
from aam_data.readers.metadata.id_column import is_id_header
from aam_data.readers.qiime2 import read_content
from aam_data.readers.source import byte_limit

_HEADER = "Feature ID<TAB>Taxon"
_TAXON = ("taxon", "taxonomy")
_SUPPORT = ("confidence", "consensus")


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """Classification of A features.

    Attributes:
        feature_ids: [A] str objects.
        taxa: [A] str as in the file, such as ``k__Bacteria; p__Firmicutes``; None where unknown.
        support: float64 [A], the classifier's confidence or consensus, NaN where unknown; None if the file has none.
        path: the file, for messages.
    """

    feature_ids: np.ndarray
    taxa: np.ndarray
    support: np.ndarray | None
    path: Path

    def take(self, feature_ids: Sequence[str] | np.ndarray) -> Taxonomy:
        """Return the taxonomy of ``feature_ids``, in that order; features that the file lacks are unknown.

        Raises:
            DataError: the file has none of them.
        """
        check_not_disjoint(list(feature_ids), list(self.feature_ids), self.path, "features")
        wanted = as_objects(feature_ids)
        row_of = {feature: row for row, feature in enumerate(self.feature_ids.tolist())}
        rows = np.array([row_of.get(feature, -1) for feature in wanted.tolist()], dtype=np.int64)
        taxa = self.taxa[rows]
        taxa[rows < 0] = None
        support = None if self.support is None else np.where(rows < 0, np.nan, self.support[rows])
        return replace(self, feature_ids=wanted, taxa=taxa, support=support)


def read_taxonomy(path: Path, max_input_gb: float = 8.0) -> Taxonomy:
    """Read the taxonomy of features; ids and taxa stay text.

    Args:
        path: TSV, plain or gzip, or a FeatureData[Taxonomy] artifact.
        max_input_gb: maximum size of the content.

    Returns:
        The taxonomy, features in the order of the file.

    Raises:
        DataError: not UTF-8, another header, no rows, rows longer than the header or without a taxon, ids that are
            empty or appear twice, a confidence that is not a number.

    Example:
        >>> taxonomy = read_taxonomy(Path("taxonomy.qza")).take(study.table.feature_ids)
    """
    content = read_content(path, "--taxonomy", ("FeatureData[Taxonomy]",), byte_limit(max_input_gb))
    rows = list(split_rows(decode_text(content, path), "," if is_named_csv(path) else "\t", path))
    header, data = _header(rows, path)
    if not data:
        raise DataError("a header without rows", code="taxonomy-empty", file=path)
    longer = [row for row in data if any(row.cells[len(header) :])]
    nameless = [row for row in data if len(row.cells) < 2 or not row.cells[1]]
    for code, problem, wrong in (
        ("taxonomy-ragged-rows", "rows with more cells than the header", longer),
        ("taxonomy-no-taxon", "rows without a taxon", nameless),
    ):
        if wrong:
            raise DataError(problem, code=code, file=path, offenders=[f"row {row.line}" for row in wrong])
    ids = as_objects([row.cells[0] for row in data])
    check_ids(ids, "feature", path, f"column {header[0]}")
    return Taxonomy(ids, as_objects([row.cells[1] for row in data]), _support(header, data, path), path)


def _header(rows: list[Row], path: Path) -> tuple[list[str], list[Row]]:
    """Return the header and the data rows, without comments."""
    actual = "nothing"
    for i, row in enumerate(rows):
        if is_id_header(row.cells[0]) and len(row.cells) > 1 and row.cells[1].lower() in _TAXON:
            return row.cells, [row for row in rows[i + 1 :] if not row.cells[0].startswith("#")]
        if not row.cells[0].startswith("#"):
            actual = ", ".join(row.cells[:3])
            break
    remedy = "Add this header, with a tab, above the rows"
    raise DataError(
        f"expected the header {_HEADER}, found {actual}", code="taxonomy-no-header", file=path, remedy=remedy
    )


def _support(header: list[str], rows: list[Row], path: Path) -> np.ndarray | None:
    names = [name.lower() for name in header]
    position = next((names.index(name) for name in _SUPPORT if name in names), None)
    if position is None:
        return None
    cells = [row.cells[position] if position < len(row.cells) else "" for row in rows]
    wrong = [
        f"row {row.line}: {cell!r}"
        for row, cell in zip(rows, cells, strict=True)
        if cell and not is_finite_number(cell)
    ]
    if wrong:
        raise DataError(
            "values that are not numbers",
            code="taxonomy-confidence-not-numbers",
            file=path,
            place=f"column {header[position]}",
            offenders=wrong,
        )
    return np.array([float(cell) if cell else np.nan for cell in cells])
