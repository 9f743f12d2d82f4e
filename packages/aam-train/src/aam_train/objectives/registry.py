"""The table of pretraining objectives, and the objective of a run."""

from __future__ import annotations

from collections.abc import Mapping

from aam_train.losses.objective import Objective, TargetTerm
from aam_train.objectives.base import PretrainingObjective, Sources
from aam_train.objectives.faith_pd import FaithPDObjective
from aam_train.objectives.hidden_counts import HiddenCountsObjective
from aam_train.objectives.masked_bases import MaskedBasesObjective
from aam_train.objectives.taxonomy import TaxonomyObjective
from aam_train.objectives.unifrac import UniFracObjective

# In the order in which losses are added up: another order would change the last bits of the total.
OBJECTIVES: dict[str, type[PretrainingObjective]] = {
    cls.name: cls
    for cls in (
        UniFracObjective,
        FaithPDObjective,
        MaskedBasesObjective,
        HiddenCountsObjective,
        TaxonomyObjective,
    )
}


def build_objective(
    weights: Mapping[str, float], sources: Sources | None = None, target: TargetTerm | None = None
) -> Objective:
    """Build the loss of a run.

    Args:
        weights: of the pretraining objectives by name; those without a weight, or with 0, are not computed.
        sources: where true values and masks come from; not needed for a target alone.
        target: None in pretraining.

    Example:
        >>> objective = build_objective({"nucleotides": 1.0})
        >>> [term.name for term in objective.encoder]
        ['nucleotides']
    """
    return Objective(build_terms(weights, sources or Sources()), target)


def build_terms(weights: Mapping[str, float], sources: Sources) -> tuple[PretrainingObjective, ...]:
    """Build the objectives that have a weight, in the order of `OBJECTIVES`."""
    unknown = weights.keys() - OBJECTIVES.keys()
    assert not unknown, unknown
    return tuple(cls(weights[name], sources) for name, cls in OBJECTIVES.items() if weights.get(name))
