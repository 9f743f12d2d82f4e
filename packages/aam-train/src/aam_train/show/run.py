"""Progress or outcome of a run, from the small files of its folder."""

from __future__ import annotations

import os
from pathlib import Path

from aam_train.reporting.jsonl import read_records
from aam_train.runs.checkpoints import BEST, LAST, STATE, Checkpoints, checkpoint_name, run_folders_in
from aam_train.runs.ensemble import is_ensemble
from aam_train.runs.model_files import read_trainer_state
from aam_train.show.model import Rows, describe_ensemble, describe_model, metrics_in_words, target_results


def describe_run(path: Path) -> Rows:
    """Describe the course of a run and its best model, or of the folds or members in it and their metrics."""
    models = run_folders_in(path)
    if models:
        are_members = models[0].name.startswith("member-")
        rows = [("run", str(path)), ("members" if are_members else "folds", str(len(models)))]
        rows += [
            (model.relative_to(path).as_posix(), dict(_course(model)).get("course", "not started")) for model in models
        ]
        rows += describe_ensemble(path)[1:] if is_ensemble(path) else []
        return rows + _results(path, "test" if are_members else "out of fold")
    rows = [("run", str(path)), *_course(path)]
    if os.path.lexists(path / "checkpoints" / BEST):
        rows += describe_model(path)
    return rows


def _course(path: Path) -> Rows:
    finished = (path / "report" / "results.json").is_file()
    records = read_records(path / "metrics.jsonl") if (path / "metrics.jsonl").is_file() else []
    epochs = [record for record in records if record["kind"] == "epoch"]
    steps = [record for record in records if record["kind"] == "step"]
    state = "finished" if finished else "running or interrupted"
    checkpoints = Checkpoints(path / "checkpoints")
    names = checkpoints.names()
    if not steps and names == [checkpoint_name(0)]:
        return [("course", f"{state}; fitted in closed form, without steps")]
    if not steps and names:
        return [("course", f"{state}; metrics.jsonl has no step of it"), ("checkpoints", ", ".join(names))]
    if not steps:
        return [("course", f"{state}, before its first step")]
    course = f"{state}, step {steps[-1]['step']:,}"
    rows = []
    if epochs:
        last = epochs[-1]
        course += f", epoch {last['epoch']} of {last['epochs']}"
        rows.append(("last epoch", metrics_in_words({"train loss": last["train"]["total"], **last["validation"]})))
        if best := [record for record in epochs if record["best"]]:
            rows.append(("best epoch", f"{best[-1]['epoch']}: {metrics_in_words(best[-1]['validation'])}"))
    if checkpoints.resolve(BEST) == checkpoint_name(0):
        rows.append(("kept", "the probe that the steps started from: they did not clearly improve on it"))
    return [("course", course), *rows, *_batches(path), ("checkpoints", ", ".join(names) or "none yet")]


def _batches(path: Path) -> Rows:
    """Describe the batch size and memory limit that were found when the run started."""
    last = path / "checkpoints" / LAST
    plan = read_trainer_state(last).batching if (last / STATE).is_file() else None
    if plan is None or not plan.limit:
        return []
    return [("batches", f"up to {plan.batch_size:,} samples per process, within {plan.limit / 1e9:.3g} GB")]


def _results(path: Path, what: str) -> Rows:
    file = path / "report" / "results.json"
    return target_results(file, what) if file.is_file() else []
