"""A model and its data, ready for the first step: what a run trains, and what a search for a learning rate tries."""

from __future__ import annotations

from dataclasses import dataclass

from aam_data.splits import Splits
from aam_train.objective import Objective
from aam_train.run_data import RunData
from aam_train.step import Step


@dataclass(frozen=True, eq=False)
class Prepared:
    """Ready for the first step.

    Attributes:
        groups: group of each sample by id, when there is a group column.
    """

    splits: Splits
    groups: dict[str, str | None] | None
    data: RunData
    objective: Objective
    step: Step
