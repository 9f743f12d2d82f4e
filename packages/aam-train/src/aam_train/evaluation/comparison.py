"""Predictions of a run beside the truth, and those of its baselines on the same samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.splits.strata import group_codes
from aam_train.baselines.protocol import BaselineData
from aam_train.baselines.random_forest import ForestOptions
from aam_train.baselines.registry import compute_baselines
from aam_train.evaluation.predictions import (
    Predictions,
    log_targets,
    make_predictions,
    point_predictions,
    pool_predictions,
    true_values,
)
from aam_train.options.baselines import MODEL_NAMES, chosen_baselines, is_named
from aam_train.reporting.durations import in_words
from aam_train.reporting.records import Reporter

if TYPE_CHECKING:
    from aam_train.data.run_data import RunData

_SLOW = 20  # seconds after which a baseline is named in the log


@dataclass(frozen=True, eq=False)
class Comparison:
    """Predictions of one run (or of all folds) in the targets' own units, and those of the baselines.

    Attributes:
        predictions: predictions of the model for all R samples.
        truth: [R, T] numbers (NaN = missing) or class names (None = missing).
        part: text [R]: train, validation or test.
        group: text [R], empty for none.
        baselines: predictions of the test samples by name of the baseline, in the order of ``predictions``.
        left_out: reason for each baseline that was not computed.
        categories: text [R] by metadata column, None where missing; coverage is reported by category.
        log_targets: names of the targets that are learned on a logarithmic scale, and plotted on one.
    """

    predictions: Predictions
    truth: np.ndarray
    part: np.ndarray
    group: np.ndarray
    baselines: dict[str, Predictions] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    categories: dict[str, np.ndarray] = field(default_factory=dict)
    log_targets: frozenset[str] = frozenset()

    @property
    def held_out(self) -> np.ndarray:
        return self.part == "test"


def own_predictions(
    data: RunData, rows: np.ndarray, outputs: np.ndarray, groups: Mapping[str, str | None] | None
) -> Comparison:
    """Convert outputs [R, W] of the model for ``rows`` to predictions beside the truth, without baselines yet."""
    metadata, ids, part_of = data.study.metadata, data.study.table.sample_ids, data.splits.part_of()
    assert metadata is not None
    predictions = make_predictions(data.preprocessor, ids[rows], outputs, data.scales[rows])
    return Comparison(
        predictions=predictions,
        truth=true_values(metadata, predictions.names, predictions.classes, rows),
        part=np.array([part_of[i] for i in ids[rows]], dtype=object),
        group=np.array([(groups or {}).get(i) or "" for i in ids[rows]], dtype=object),
        categories={column: metadata.text(column)[rows] for column in data.preprocessor.categorical_columns},
        log_targets=log_targets(data.preprocessor),
    )


def with_baselines(
    comparison: Comparison,
    data: RunData,
    groups: Mapping[str, str | None] | None,
    baselines: str,
    seed: int,
    reporter: Reporter,
) -> Comparison:
    """Add the baselines' predictions of the test samples.

    Args:
        comparison: of the model.
        data: of the run.
        groups: group by sample id, None for none.
        baselines: value of ``--baselines``.
        seed: random seed of the run.
        reporter: receives a note on each baseline that took long.
    """
    test, collator = data.rows["test"], data.maker.collator
    if not len(test):
        return comparison
    assert collator.targets is not None
    every = data.study.table.sample_ids
    codes = group_codes([(groups or {}).get(i) for i in every])
    rarefier = data.maker.samples.rarefier
    split = BaselineData(data.preprocessor, data.rows, rarefier, collator.inputs, collator.targets, codes, data.pairs)
    names = chosen_baselines(baselines)
    required = [name for name in names if is_named(baselines, name)]
    computed = compute_baselines(split, ForestOptions(seed), names, required)
    for name, seconds in computed.seconds.items():
        if seconds > _SLOW:
            reporter.note(f"the baseline {MODEL_NAMES[name]} took {in_words(seconds)}; see --baselines")
    outputs = {
        name: baseline_predictions(data.preprocessor, every[test], outputs, data.scales[test])
        for name, outputs in computed.outputs.items()
    }
    return replace(comparison, baselines=outputs, left_out=computed.left_out)


def pool_folds(folds: list[Comparison]) -> Comparison:
    """Pool the held-out parts of all folds: every sample is predicted by the model that was not trained on it."""
    names = [name for name in folds[0].baselines if all(name in fold.baselines for fold in folds)]
    return Comparison(
        predictions=pool_predictions([fold.predictions.take(fold.held_out) for fold in folds]),
        truth=np.concatenate([fold.truth[fold.held_out] for fold in folds]),
        part=np.concatenate([fold.part[fold.held_out] for fold in folds]),
        group=np.concatenate([fold.group[fold.held_out] for fold in folds]),
        baselines={name: pool_predictions([fold.baselines[name] for fold in folds]) for name in names},
        left_out={name: reason for fold in folds for name, reason in fold.left_out.items()},
        categories={
            column: np.concatenate([fold.categories[column][fold.held_out] for fold in folds])
            for column in folds[0].categories
        },
        log_targets=folds[0].log_targets,
    )


def baseline_predictions(
    preprocessor: Preprocessor, ids: np.ndarray, outputs: np.ndarray, scales: np.ndarray
) -> Predictions:
    """Convert the outputs of a baseline, see `Baselines`, to predictions."""
    if preprocessor.labels is None:
        return point_predictions(preprocessor, ids, outputs, scales)
    with np.errstate(divide="ignore"):  # a share of 0 is a logit of -inf
        return make_predictions(preprocessor, ids, np.log(outputs))
