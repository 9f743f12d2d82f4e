"""`aam pretrain`: a table and its tree -> an encoder. Read from top to bottom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from aam_data.leaks import leak_notes
from aam_data.selection import DEFAULT_MAX_BP, default_depth, groups_of, make_splits, select_samples, small_parts
from aam_models.build import build_encoder
from aam_train.architecture import new_encoder_config
from aam_train.artifacts import input_records, versions
from aam_train.calibration import calibrate_encoder
from aam_train.collate import Masking
from aam_train.compute import build_compute, compute_settings, prepare_model
from aam_train.experiment import PretrainConfig
from aam_train.fitting import Fit
from aam_train.inference import predict_masked_bases, run_samples
from aam_train.json_files import write_json
from aam_train.loading import FIXED_DRAW
from aam_train.metrics import mean_absolute_error
from aam_train.model_records import TrainingRecord
from aam_train.objective import Objective, Weights
from aam_train.objective_config import PretrainObjective
from aam_train.reporting.console import ConsoleReporter
from aam_train.reporting.jsonl import read_records
from aam_train.run_data import RunData, build_data
from aam_train.run_inputs import RunInputs, read_run_inputs
from aam_train.runtime import resolve_device, seed_weights
from aam_train.signals import StopFlag
from aam_train.step import Step
from aam_train.validation import EncoderValidator, sample_for_pairs


def run_pretrain(config: PretrainConfig, inputs: RunInputs | None = None, *, quiet: bool = False) -> Path:
    """Pretrain an encoder; returns the run folder.

    Args:
        config: all settings.
        inputs: what `read_run_inputs` of the same settings gave; read here by default.
        quiet: print warnings only.

    Raises:
        DataError, ModelError, TrainError: something the user can change.
        RunStopped: after a signal.
    """
    device = resolve_device(config.run.device)
    with StopFlag() as stop, compute_settings(config.compute, device):
        return _pretrain(config, inputs or read_run_inputs(config), device, stop, ConsoleReporter(quiet=quiet))


def _pretrain(
    config: PretrainConfig, inputs: RunInputs, device: torch.device, stop: StopFlag, console: ConsoleReporter
) -> Path:
    compute = build_compute(config.compute, device)
    folder, study = inputs.folder, inputs.study
    for note in study.notes:
        console.note(note)
    depth = default_depth(
        config.sample.rarefy_depth,
        with_matrix=study.distances is not None,
        relative_abundance=config.table.relative_abundance,
    )
    max_bp = config.sample.max_bp or DEFAULT_MAX_BP
    selection = select_samples(study, depth)
    for note in selection.notes:
        console.note(note)
    (splits,) = make_splits(study, selection.rows, config.split, config.run.seed, None)
    for note in leak_notes(study, splits, None, config.split.group_column, depth):
        console.note(note)
    groups = groups_of(study, config.split)
    for note in [splits.summary(groups), *small_parts(splits)]:
        console.note(note)
    data = build_data(config, study, splits, depth=depth, max_bp=max_bp, reporter=console)

    weights = pretrain_weights(config.objective)
    objective = Objective(weights, pretrain_masking(config.objective), pairs=data.pairs)
    seed_weights(config.run.seed)
    encoder = build_encoder(new_encoder_config(config.model, max_bp, weights)).to(device)
    console.note(f"encoder with {sum(p.numel() for p in encoder.parameters()):,} parameters on {device}")
    prepare_model(encoder, config.compute, console)
    step = Step(encoder, device, compute=compute, stop=stop)
    if folder.resume is None:
        calibrate_encoder(step, data, objective, config.run.batch_size)

    record = TrainingRecord(
        command="pretrain",
        inputs=input_records(study),
        targets=[],
        samples={part: len(rows) for part, rows in data.rows.items()},
        versions=versions(),
    )
    folder.open(record.inputs)
    splits.write(folder.path / "splits.tsv", groups)
    Fit(
        folder=folder,
        data=data,
        step=step,
        objective=objective,
        validate=validator(data, objective, "validation", config.run.batch_size) if splits.validation else None,
        run=config.run,
        optimizer=config.optimizer,
        best_metric="val_loss",
        record=record,
        console=console,
        stop=stop,
    ).execute()

    results = judge(step, data, objective, config.run.batch_size, folder.report)
    write_json(folder.report / "results.json", results)
    draw_curves(folder.path)
    for line in result_lines(results):
        console.note(line)
    return folder.path


def pretrain_weights(options: PretrainObjective) -> Weights:
    """Weights of the terms; --penalty is that of the phylogenetic target(s)."""
    metric = options.unifrac_metric
    return Weights(
        unifrac=options.penalty if metric in ("unifrac", "combined") else 0.0,
        faith_pd=options.penalty if metric in ("faith_pd", "combined") else 0.0,
        nucleotides=options.nuc_penalty,
        counts=options.count_penalty,
    )


def pretrain_masking(options: PretrainObjective) -> Masking:
    """What training batches hide: only what some term predicts."""
    return Masking(
        nucleotide_ratio=options.nuc_mask_ratio if options.nuc_penalty else 0.0,
        count_ratio=options.count_mask_ratio if options.count_penalty else 0.0,
    )


def validator(data: RunData, objective: Objective, part: str, batch_size: int) -> EncoderValidator:
    """The judge of one part's samples."""
    return EncoderValidator(data.maker, objective, data.rows[part], data.drawn_asvs(part), batch_size)


def judge(step: Step, data: RunData, objective: Objective, batch_size: int, report: Path) -> dict[str, Any]:
    """Figures on held-out samples beside constants, and pictures of them."""
    from aam_train.reporting.plots import plot_scatter

    if len(data.rows["test"]) < 2:
        return {"part": "test", "samples": len(data.rows["test"])}
    validate = validator(data, objective, "test", batch_size)
    results: dict[str, Any] = {"part": "test", "samples": len(data.rows["test"]), "aam": validate(step)}
    constant: dict[str, float] = {}
    outputs = run_samples(step, data.maker, data.rows["test"], batch_size)
    if objective.weights.unifrac:
        truth, predicted = validate.distances(step, outputs.embeddings)
        constant["unifrac_mae"] = mean_absolute_error(truth, mean_distance(data))
        plot_scatter(report / "unifrac.png", truth, predicted, "held-out pairs", "unweighted UniFrac")
    if objective.weights.faith_pd:
        assert objective.pairs is not None
        truth, predicted = validate.faith_pd(outputs.faith_pd)
        from_training = np.nanmean(objective.pairs.values(data.rows["train"], FIXED_DRAW))
        constant["faith_pd_mae"] = mean_absolute_error(truth, from_training)
        plot_scatter(report / "faith_pd.png", truth, predicted, "held-out samples", "Faith's PD")
    if objective.weights.nucleotides:
        results |= judge_bases(step, data, objective.masking.nucleotide_ratio)
    return results | {"constant": constant}


def mean_distance(data: RunData) -> float:
    """Mean distance of the training samples' pairs (fixed draw): what a constant would predict."""
    assert data.pairs is not None
    rows = data.rows["train"][sample_for_pairs(len(data.rows["train"]))]
    distances = data.pairs.pairs(rows, rows, FIXED_DRAW)
    return float(np.nanmean(distances[np.triu_indices(len(rows), 1)], dtype=np.float64))


def judge_bases(step: Step, data: RunData, ratio: float) -> dict[str, Any]:
    """Accuracy at masked bases of ASVs that no training sample has, beside the majority base of each position."""
    seen = data.observed_asvs("train")
    novel = np.setdiff1d(data.drawn_asvs("test"), seen)
    if len(novel) == 0:
        return {"novel_asvs": {"count": 0}}
    _, position, base, logits = predict_masked_bases(step, data.maker, novel, ratio)
    majority = majority_bases(data, seen)
    return {
        "novel_asvs": {
            "count": len(novel),
            "nucleotide_accuracy": float((logits.argmax(axis=1) == base).mean()),
            "majority_accuracy": float((majority[position] == base).mean()),
        }
    }


def majority_bases(data: RunData, asv_rows: np.ndarray) -> np.ndarray:
    """The commonest base (0-3) at each position of these ASVs, int64 [max_bp]."""
    codes = data.study.sequences.codes[asv_rows, : data.preprocessor.max_bp]
    return np.stack([(codes == base).sum(axis=0) for base in range(1, 5)]).argmax(axis=0)


def draw_curves(run: Path) -> None:
    """``report/curves.png`` from ``metrics.jsonl``."""
    from aam_train.reporting.plots import plot_curves

    plot_curves(run / "report" / "curves.png", read_records(run / "metrics.jsonl"))


def result_lines(results: dict[str, Any]) -> list[str]:
    """The results in words."""
    if "aam" not in results:
        return ["fewer than 2 samples are held out, so there are no held-out figures"]
    aam, constant = results["aam"], results["constant"]
    lines = []
    for name, what in (("unifrac", "unweighted UniFrac of all held-out pairs"), ("faith_pd", "held-out Faith's PD")):
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
    return lines
