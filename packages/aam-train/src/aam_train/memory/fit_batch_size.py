"""Choice of the batch size and the memory limit of a new run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from aam_data.errors import first_few
from aam_data.preprocessing.dataset import Sample
from aam_train.data.loading import FIXED_DRAW
from aam_train.device.available_memory import available_memory
from aam_train.engine.update import Update
from aam_train.errors import TrainError
from aam_train.memory.batch_plan import BatchPlan
from aam_train.memory.cost_model import GB
from aam_train.memory.plan_factory import PlanFactory
from aam_train.memory.probe import probing, release_free_memory
from aam_train.memory.search import BatchSizeSearch, largest_fitting
from aam_train.memory.splitting import MemorySplitter
from aam_train.options.memory import MemoryOptions
from aam_train.reporting.records import Reporter

MAX_CHECKED = 1000  # largest samples, checked one by one


def fit_batch_size(factory: PlanFactory, update: Update, reporter: Reporter) -> BatchPlan:
    """Choose the batch plan of a new run. A collective.

    Args:
        factory: of the run.
        update: its optimizer must have no state yet, and has none afterwards.
        reporter: receives the trials and the result.

    Raises:
        TrainError: there is too little memory, for all samples or for those that it names.
    """
    memory, given = factory.memory, factory.at_most(factory.run.batch_size)
    if not (memory.auto_batch_size or memory.max_memory_gb):
        return BatchPlan(given, factory.step_size)
    if factory.step.device.type == "cpu" and not Path("/proc/self/status").exists():
        raise TrainError(f"{_flag(memory)}: memory of a CPU can only be measured on Linux. Use --batch-size instead")
    release_free_memory()  # memory used for setting up is free for training
    limit = _limit(factory)
    max_size = factory.at_most(len(factory.rows)) if memory.auto_batch_size else given
    with probing(factory.step, factory.objective, update, factory.maker) as probe:
        search = BatchSizeSearch(factory, probe, limit, max_size, reporter)
        _check_each_sample_fits(factory, search.splitter(1))
        size = given
        if memory.auto_batch_size:
            size = search.batch_size()
            _check_each_sample_fits(factory, search.splitter(1))  # with the updated memory model
    pairs = size * factory.step.strategy.ranks.size
    if pairs < (2 if factory.objective.needs_pairs else 1):
        raise TrainError(
            f"{_flag(memory)}: {limit / GB:.3g} GB for training is too little for "
            f"{'two samples, which distances need' if pairs else 'a single sample'}. Allow more, lower --max-asvs, or "
            "use a smaller --preset"
        )
    chosen = f"batch size {size}: " if memory.auto_batch_size else ""
    reporter.note(
        f"{chosen}training may use up to {limit / GB:.3g} GB more than now (measured on {search.tried} trial steps)"
    )
    return BatchPlan(size, factory.step_size, limit, asdict(search.model))


def _limit(factory: PlanFactory) -> int:
    ranks, memory = factory.step.strategy.ranks, factory.memory
    limits = [int(memory.max_memory_gb * GB)] if memory.max_memory_gb else []
    if memory.auto_batch_size:
        limits.append(available_memory(factory.step.device, memory.max_memory_fraction, ranks.local_size))
    (negative_limit,) = ranks.all_reduce_max([-min(limits)])
    if negative_limit >= 0:
        raise TrainError(
            f"{_flag(memory)}: the process already uses this much memory before training starts. Raise the limit, or "
            "use a machine with more memory"
        )
    return -negative_limit


def _check_each_sample_fits(factory: PlanFactory, splitter: MemorySplitter) -> None:
    """Raise if there are samples that exceed the limit even alone in a micro-batch; name them and the remedies."""
    samples, limit, processes = factory.maker.samples, splitter.limit, factory.step.strategy.ranks.size
    richness = samples.most_asvs(factory.rows)
    too_large: list[Sample] = []
    for row in factory.rows[np.argsort(-richness, kind="stable")][:MAX_CHECKED].tolist():
        sample = samples.sample(row, FIXED_DRAW)
        if splitter.min_bytes([sample], processes) > limit:
            too_large.append(sample)
    if not too_large:
        return
    smallest = min(too_large, key=lambda sample: len(sample.asv_rows))
    fitting = largest_fitting(
        len(smallest.asv_rows),
        lambda number: splitter.min_bytes([smallest._replace(asv_rows=smallest.asv_rows[:number])], processes) <= limit,
    )
    needed = max(splitter.min_bytes([sample], processes) for sample in too_large)
    ids = samples.study.table.sample_ids
    named = first_few([f"{ids[sample.row]} ({len(sample.asv_rows):,} ASVs)" for sample in too_large])
    remedies = [f"--max-asvs {fitting}"] if fitting else []
    if not factory.step.frozen:
        remedies += ["--gradient-checkpointing"] if factory.recompute is False else []
        remedies += ["a smaller --asv-chunk-size"]
    remedies += ["a smaller --preset"]
    raise TrainError(
        f"{_flag(factory.memory)}: training may use {limit / GB:.3g} GB, but {len(too_large):,} samples need more "
        f"even one by one: {named}; the largest about {needed / GB:.3g} GB. Allow more, or use {', or '.join(remedies)}"
    )


def _flag(options: MemoryOptions) -> str:
    if options.max_memory_gb:
        return f"--max-memory-gb {options.max_memory_gb:g}"
    return f"--auto-batch-size (--max-memory-fraction {options.max_memory_fraction:g})"
