"""Detection of sums in a table: a column that is the sum of the samples, or a row that is the sum of the features.

mothur's count tables, spreadsheets and scripts add them, and nothing else tells them from a sample or a feature.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.table import CountTable

_MIN_SUMMED = 2  # samples with reads besides the sum
_MIN_OTHERS = 3  # features with reads; fewer may add up by chance
_ROUNDING = 1e-6  # relative, of fractions that were added up
_MAX_DECIMALS = 6  # of fractions that were rounded before or after they were added up
_CLOSE = 0.01  # of depths of rounded fractions, which decide nothing alone
_MAX_SUMS = 2  # equal columns of sums, one at either end
_SEQUENCE = re.compile(r"[ACGTURYKMSWBDHVN.-]{30,}|[0-9a-f]{32}|[0-9a-f]{40}", re.IGNORECASE)  # no name of a sum
_NAME = re.compile(r"(grand|row|col|column|overall)?(total|sum|totals|sums)(counts?|reads?|abundances?|size)?")


def check_no_sums(table: CountTable, path: Path) -> None:
    """Check that no sample is the sum of all others and no feature the sum of all others.

    A sample with the name of a sum that has at least the reads of all others in every feature counts as one too: it is
    the sum of a larger table.

    Raises:
        DataError: there is one; the message names it.
    """
    depths, reads = table.depths().astype(np.float64), table.reads_per_feature()
    samples, features = _sum_samples(table, depths, reads), _sum_features(table, depths, reads)
    if (samples or features) and _all_alike(table, depths, reads):
        return
    if samples:
        raise _error("sample", "samples", [str(table.sample_ids[sample]) for sample in samples], path)
    if features:
        raise _error("feature", "features", [str(table.feature_ids[feature]) for feature in features], path)


def _error(what: str, plural: str, names: list[str], path: Path) -> DataError:
    shape = "column" if what == "sample" else "row"
    problem = f"a {what} is the sum of all other {plural}"
    if len(names) > 1:
        problem = f"{plural} are each the sum of all other {plural}"
    remedy = f"Remove this {shape}: it is not a {what}, and its reads would count twice"
    code = "table-sum-column" if what == "sample" else "table-sum-row"
    return DataError(problem, code=code, file=path, offenders=[name[:80] for name in names], remedy=remedy)


def _sum_samples(table: CountTable, depths: np.ndarray, reads: np.ndarray) -> list[int]:
    n_filled = np.count_nonzero(depths)
    if np.count_nonzero(reads) < _MIN_OTHERS or n_filled < _MIN_SUMMED + 1:
        return []
    rounding = _rounding(table) * (n_filled + 1)
    for n_sums in range(1, _MAX_SUMS + 1):
        candidates = np.flatnonzero(np.isclose(depths * (n_sums + 1), depths.sum(), rtol=_CLOSE)).tolist()
        found = [b for b in candidates if _equal(_dense(table, b) * (n_sums + 1), reads, rounding).all()]
        if len(found) == n_sums and n_filled - n_sums >= _MIN_SUMMED:
            return found
    named = [b for b in np.flatnonzero(depths * 2 >= depths.sum()).tolist() if _is_named_sum(table.sample_ids[b])]
    return [sample for sample in named if (_dense(table, sample) * 2 >= reads * (1 - _ROUNDING)).all()]


def _sum_features(table: CountTable, depths: np.ndarray, reads: np.ndarray) -> list[int]:
    if np.count_nonzero(depths) < _MIN_OTHERS or np.count_nonzero(reads) < _MIN_SUMMED + 1:
        return []
    found, rounding = [], _rounding(table) * (np.count_nonzero(reads) + 1)
    for feature in np.flatnonzero(np.isclose(reads * 2, reads.sum(), rtol=_CLOSE)).tolist():
        only = np.zeros(table.n_features, dtype=bool)
        only[feature] = True
        if _equal(table.reads_in(only) * 2.0, depths, rounding).all():
            found.append(feature)
    named = [feature for feature in found if _SEQUENCE.fullmatch(table.feature_ids[feature]) is None]
    return named if len(found) == 1 else []


def _all_alike(table: CountTable, depths: np.ndarray, reads: np.ndarray) -> bool:
    """Return whether all samples have the same shares of features, so that one equal sum is no more than a chance."""
    if len(table.data.counts) != np.count_nonzero(depths) * np.count_nonzero(reads):
        return False
    sample = np.repeat(np.arange(table.n_samples), np.diff(table.data.indptr))
    expected = depths[sample] * reads[table.data.indices] / depths.sum()
    return bool(_equal(table.data.counts, expected, _rounding(table)).all())


def _dense(table: CountTable, sample: int) -> np.ndarray:
    features, counts = table.data.row(sample)
    values = np.zeros(table.n_features)
    values[features] = counts
    return values


def _rounding(table: CountTable) -> float:
    """Return by how much a stored value may differ from the exact one; 0 for reads."""
    if table.is_integer:
        return 0.0
    counts = table.data.counts
    decimals = (d for d in range(_MAX_DECIMALS + 1) if np.allclose(counts, np.round(counts, d), rtol=0, atol=1e-12))
    fewest = next(decimals, None)
    return 0.0 if fewest is None else float(10.0**-fewest)


def _equal(values: np.ndarray, others: np.ndarray, rounding: float) -> np.ndarray:
    return np.isclose(values, others, rtol=_ROUNDING, atol=rounding)


def _is_named_sum(name: str) -> bool:
    return _NAME.fullmatch(re.sub(r"[^a-z]", "", name.lower())) is not None
