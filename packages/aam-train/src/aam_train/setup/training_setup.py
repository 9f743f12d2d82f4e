"""A model and its data, ready for the first step: what a run trains, and what a search for a learning rate tries."""

from __future__ import annotations

from dataclasses import dataclass

from aam_data.splits.splits import Splits
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.losses.objective import Objective


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
