"""Metadata of simulated studies, for any range of rows, with missing values in the spellings that people use."""

from __future__ import annotations

import numpy as np
import pandas as pd

from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.design import LOCATIONS, SEASONS, STATUSES, StudyDesign

# Recognised in every column, then in columns of numbers only (aam_data.readers.metadata.missing_values).
MISSING = ("", "not applicable", "missing: not provided", "Not collected", "restricted access", "missing")
MISSING_NUMBERS = (*MISSING, "NA", "nan", "unknown", "-")
NUMBERS = ("degree_days", "age")


class SimulatedMetadata:
    """The rows of metadata.tsv.

    Attributes:
        gaps: for each column, int8 [B]: the number of the spelling of a missing value, or -1 for a present value.
            Hosts and depths have no missing values.
    """

    def __init__(self, options: SimulateOptions, design: StudyDesign, rng: np.random.Generator) -> None:
        self._options, self._design = options, design
        columns = ["location", "season", "degree_days", "status", "age"] + ["plate"] * (options.plates > 0)
        self.gaps: dict[str, np.ndarray] = {}
        for name in columns if options.missing_metadata > 0 else ():
            spelling = rng.integers(len(spellings(name)), size=options.samples, dtype=np.int8)
            absent = rng.random(options.samples) < options.missing_metadata
            self.gaps[name] = np.where(absent, spelling, np.int8(-1))

    def sample_ids(self, rows: slice) -> np.ndarray:
        """Return the ids of a range of samples, str objects."""
        return numbered("S", np.arange(self._options.samples)[rows], self._options.samples)

    def frame(self, rows: slice, depth: np.ndarray) -> pd.DataFrame:
        """Return rows as they are in the file, indexed by ``sample-id``.

        Args:
            rows: range of samples.
            depth: [B] reads of all samples.
        """
        options, design = self._options, self._design
        columns = {
            "host": numbered("H", design.host[rows], options.n_hosts),
            "location": np.array(list(LOCATIONS), dtype=object)[design.location[rows]],
            "season": np.array(SEASONS, dtype=object)[design.season[rows]],
            "degree_days": design.degree_days[rows],
            "status": np.array(STATUSES, dtype=object)[design.stressed[rows].astype(np.int64)],
            "age": design.age[rows],
        }
        if options.plates:
            columns["plate"] = numbered("P", design.plate[rows], options.plates)
        for name, gap in self.gaps.items():
            columns[name] = columns[name].astype(object)
            absent = gap[rows] >= 0
            columns[name][absent] = np.array(spellings(name), dtype=object)[gap[rows][absent]]
        columns["depth"] = depth[rows]
        return pd.DataFrame(columns, index=pd.Index(self.sample_ids(rows), name="sample-id", dtype=object))


def spellings(column: str) -> tuple[str, ...]:
    """Return the spellings of missing values in a column."""
    return MISSING_NUMBERS if column in NUMBERS else MISSING


def numbered(prefix: str, number: np.ndarray, count: int) -> np.ndarray:
    """Format ids ``S001`` and so on, wide enough for ``count`` of them, as str objects."""
    width = len(str(count))
    return np.array([f"{prefix}{value + 1:0{width}d}" for value in number.tolist()], dtype=object)
