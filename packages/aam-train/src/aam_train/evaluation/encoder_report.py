"""A pretrained encoder on held-out samples: figures beside those of constants, pictures, words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aam_data.options.files import UnifracMetric
from aam_train.data.loading import FIXED_DRAW
from aam_train.data.run_data import RunData, sample_for_pairs
from aam_train.engine.step import Step
from aam_train.evaluation.inference import predict_masked_bases, predict_taxa
from aam_train.evaluation.metrics import mean_absolute_error
from aam_train.evaluation.validation import EncoderValidator
from aam_train.losses.objective import Objective
from aam_train.reporting.jsonl import read_records

METRIC_NAMES: dict[UnifracMetric, str] = {
    "unifrac": "unweighted UniFrac",
    "weighted": "weighted UniFrac",
    "weighted_unnormalized": "weighted UniFrac, unnormalized",
    "generalized": "generalized UniFrac",
}


def validator(data: RunData, objective: Objective, part: str, batch_size: int) -> EncoderValidator:
    """The judge of one part's samples."""
    return EncoderValidator(data.maker, objective, data.rows[part], data.drawn_asvs(part), batch_size)


def constants_of(data: RunData, objective: Objective) -> dict[str, float]:
    """What predicting without looking gives: means over the training samples (fixed draw), in own units."""
    found = {}
    if objective.weights.unifrac:
        found["unifrac"] = mean_distance(data)
    if objective.weights.faith_pd:
        assert objective.pairs is not None
        found["faith_pd"] = float(np.nanmean(objective.pairs.values(data.rows["train"], FIXED_DRAW)))
    return found


def judge(
    step: Step,
    data: RunData,
    objective: Objective,
    batch_size: int,
    report: Path | None,
    metric: UnifracMetric,
    constants: dict[str, float],
) -> dict[str, Any]:
    """Figures on held-out samples beside those of constants, and pictures of them.

    Args:
        report: folder of the pictures; None for none: one process draws them for all.
        metric: of the distances.
        constants: see `constants_of`.
    """
    if len(data.rows["test"]) < 2:
        return {"part": "test", "samples": len(data.rows["test"])}
    validate = validator(data, objective, "test", batch_size)
    with validate.encoded(step):
        return _judge(step, data, validate, report, metric, constants)


def _judge(
    step: Step,
    data: RunData,
    validate: EncoderValidator,
    report: Path | None,
    metric: UnifracMetric,
    constants: dict[str, float],
) -> dict[str, Any]:
    from aam_train.evaluation.plots import plot_scatter

    objective = validate.objective
    results: dict[str, Any] = {"part": "test", "samples": len(data.rows["test"]), "metric": METRIC_NAMES[metric]}
    results["aam"], found = validate.measure(step)
    constant: dict[str, float] = {}
    if found.distances is not None:
        truth, predicted = found.distances
        constant["unifrac_mae"] = mean_absolute_error(truth, constants["unifrac"])
        if report is not None:
            plot_scatter(report / "unifrac.png", truth, predicted, "held-out pairs", METRIC_NAMES[metric])
    if found.faith_pd is not None:
        truth, predicted = found.faith_pd
        constant["faith_pd_mae"] = mean_absolute_error(truth, constants["faith_pd"])
        if report is not None:
            plot_scatter(report / "faith_pd.png", truth, predicted, "held-out samples", "Faith's PD")
    if objective.weights.nucleotides:
        results |= judge_bases(step, data, objective)
    if objective.weights.taxonomy:
        results |= judge_taxa(step, data)
    return results | {"constant": constant}


def mean_distance(data: RunData) -> float:
    """Mean distance of the training samples' pairs (fixed draw), in own units: what a constant would predict."""
    assert data.pairs is not None
    rows = data.rows["train"][sample_for_pairs(len(data.rows["train"]))]
    distances = data.pairs.pairs(rows, rows, FIXED_DRAW)
    mean = np.nanmean(distances[np.triu_indices(len(rows), 1)], dtype=np.float64)
    return float(mean) * data.distance_scale


def judge_bases(step: Step, data: RunData, objective: Objective) -> dict[str, Any]:
    """Accuracy at masked bases of ASVs that no training sample has, beside the majority base of each position."""
    seen = data.observed_asvs("train")
    novel = np.setdiff1d(data.drawn_asvs("test"), seen)
    if len(novel) == 0:
        return {"novel_asvs": {"count": 0}}
    _, position, base, logits = predict_masked_bases(
        step, data.maker, novel, replace(objective.masking, count_ratio=0.0)
    )
    majority = majority_bases(data, seen)
    return {
        "novel_asvs": {
            "count": len(novel),
            "nucleotide_accuracy": float((logits.argmax(axis=1) == base).mean()),
            "majority_accuracy": float((majority[position] == base).mean()),
        }
    }


def judge_taxa(step: Step, data: RunData) -> dict[str, Any]:
    """Accuracy at each rank for ASVs that no training sample has, beside the training ASVs' commonest taxon."""
    assert data.maker.collator.taxa is not None
    taxa, seen = data.maker.collator.taxa, data.observed_asvs("train")
    novel = np.setdiff1d(data.drawn_asvs("test"), seen)
    ranks: list[dict[str, float]] = []
    if len(novel) == 0:
        return {"taxonomy": ranks}
    best, _ = predict_taxa(step, data.maker, novel)
    for rank, width in enumerate(data.taxonomy_classes):
        truth = taxa[novel, rank]
        known = truth >= 0
        if not known.any():
            continue
        codes = taxa[seen, rank]
        majority = np.bincount(codes[codes >= 0], minlength=width).argmax()
        figures: dict[str, float] = {"rank": rank + 1, "taxa": width, "asvs": int(known.sum())}
        figures["accuracy"] = float((best[known, rank] == truth[known]).mean())
        figures["majority_accuracy"] = float((truth[known] == majority).mean())
        ranks.append(figures)
    return {"taxonomy": ranks}


def majority_bases(data: RunData, asv_rows: np.ndarray) -> np.ndarray:
    """The commonest base (0-3) at each position of these ASVs, int64 [max_bp]."""
    codes = data.study.sequences.codes[asv_rows, : data.preprocessor.max_bp]
    return np.stack([(codes == base).sum(axis=0) for base in range(1, 5)]).argmax(axis=0)


def draw_curves(run: Path) -> None:
    """``report/curves.png`` from ``metrics.jsonl``."""
    from aam_train.evaluation.plots import plot_curves

    plot_curves(run / "report" / "curves.png", read_records(run / "metrics.jsonl"))


def result_lines(results: dict[str, Any]) -> list[str]:
    """The results in words."""
    if "aam" not in results:
        return ["fewer than 2 samples are held out, so there are no held-out figures"]
    aam, constant = results["aam"], results["constant"]
    lines = []
    metric = f"{results['metric']} of all held-out pairs"
    for name, what in (("unifrac", metric), ("faith_pd", "held-out Faith's PD")):
        if f"{name}_r" in aam:
            lines.append(
                f"{what}: Pearson r {aam[f'{name}_r']:.3f}, mean absolute error {aam[f'{name}_mae']:.4g} "
                f"(predicting the training mean: {constant[f'{name}_mae']:.4g})"
            )
    novel = results.get("novel_asvs", {})
    if novel.get("count"):
        lines.append(
            f"masked bases of {novel['count']:,} ASVs that training never saw: {novel['nucleotide_accuracy']:.1%} "
            f"right (the commonest base of each position: {novel['majority_accuracy']:.1%})"
        )
    lines += [
        f"taxa of rank {rank['rank']}, {rank['asvs']:,} ASVs that training never saw: {rank['accuracy']:.1%} right "
        f"(the commonest taxon: {rank['majority_accuracy']:.1%})"
        for rank in results.get("taxonomy", [])
    ]
    return lines
