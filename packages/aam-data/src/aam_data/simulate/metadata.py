"""Metadata of simulated studies, any stretch of rows at a time, with gaps in the spellings that people use."""

from __future__ import annotations

import numpy as np
import pandas as pd

from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.design import LOCATIONS, SEASONS, STATUSES, StudyDesign

# Understood in every column, then in columns of numbers only (aam_data.readers.metadata.missing_values).
MISSING = ("", "not applicable", "missing: not provided", "Not collected", "restricted access", "missing")
MISSING_NUMBERS = (*MISSING, "NA", "nan", "unknown", "-")
NUMBERS = ("degree_days", "age")


class SimulatedMetadata:
    """The rows of metadata.tsv.

    Attributes:
        gaps: by column the number of the spelling in place of each value, int8 [B]; -1 where the value stands.
            Hosts and depths have none.
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
        """Ids of a stretch of samples, str objects."""
        return numbered("S", np.arange(self._options.samples)[rows], self._options.samples)

    def frame(self, rows: slice, depth: np.ndarray) -> pd.DataFrame:
        """The rows as they stand in the file, indexed by ``sample-id``.

        Args:
            rows: which samples.
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
    """How a missing value of a column may be written."""
    return MISSING_NUMBERS if column in NUMBERS else MISSING


def numbered(prefix: str, number: np.ndarray, count: int) -> np.ndarray:
    """``S001`` and so on, wide enough for ``count`` of them, str objects."""
    width = len(str(count))
    return np.array([f"{prefix}{value + 1:0{width}d}" for value in number.tolist()], dtype=object)
