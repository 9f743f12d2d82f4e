"""The report of a pretrained encoder on held-out samples: metrics next to those of constants, plots, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aam_data.options.base import UnifracMetric
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.objectives.base import PretrainingObjective
from aam_train.objectives.registry import OBJECTIVES
from aam_train.objectives.unifrac import METRIC_NAMES
from aam_train.objectives.validation import build_validator, errors_of_constants
from aam_train.reporting.jsonl import read_records


def constants_of(data: RunData, objectives: Sequence[PretrainingObjective]) -> dict[str, float]:
    """Compute constant predictions from the training samples (fixed draw), by objective, in own units."""
    constants = {objective.name: objective.constant(data) for objective in objectives}
    return {name: value for name, value in constants.items() if value is not None}


def report_encoder(
    step: Step,
    data: RunData,
    objectives: Sequence[PretrainingObjective],
    batch_size: int,
    folder: Path | None,
    metric: UnifracMetric,
    constants: dict[str, float],
) -> dict[str, Any]:
    """Evaluate the encoder on held-out samples and draw plots.

    Args:
        folder: for plots; None for none: one process draws them for all.
        metric: of the distances.
        constants: see `constants_of`.
    """
    n_samples = len(data.rows["test"])
    if n_samples < 2:
        return {"part": "test", "samples": n_samples}
    validator = build_validator(data, objectives, "test", batch_size)
    with validator.encoded(step):
        measured = validator.measure(step)
        results: dict[str, Any] = {"part": "test", "samples": n_samples, "metric": METRIC_NAMES[metric]}
        results["aam"] = validator.metrics(measured)
        for objective in objectives:
            results |= objective.report(step, data, measured[objective.name], folder)
        return results | {"constant": errors_of_constants(measured, constants)}


def draw_curves(run: Path) -> None:
    """Draw ``report/curves.png`` from ``metrics.jsonl``."""
    from aam_train.evaluation.plots import plot_curves

    plot_curves(run / "report" / "curves.png", read_records(run / "metrics.jsonl"))


def result_lines(results: dict[str, Any]) -> list[str]:
    """Put the results into sentences."""
    if "aam" not in results:
        return ["fewer than 2 samples are held out, so there are no held-out metrics"]
    return [line for objective in OBJECTIVES.values() for line in objective.describe(results)]
