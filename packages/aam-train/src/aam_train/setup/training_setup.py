"""A model and its data, ready for the first step of a run or of a search for a learning rate."""

from __future__ import annotations

from dataclasses import dataclass

from aam_data.splits.splits import Splits
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.losses.objective import Objective
from aam_train.objectives.base import PretrainingObjective


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """A model, its data and its loss, ready for the first step.

    Attributes:
        groups: group of each sample by id, when there is a group column.
        terms: objectives on the encoder, those of ``objective``.
        inner_groups: groups that folds within the training samples keep whole: the values of --cv-by, else ``groups``.
    """

    splits: Splits
    groups: dict[str, str | None] | None
    data: RunData
    terms: tuple[PretrainingObjective, ...]
    objective: Objective
    step: Step
    inner_groups: dict[str, str | None] | None = None
