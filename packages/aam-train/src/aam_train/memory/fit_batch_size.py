"""The batch size and the memory of a new run."""

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

MAX_CHECKED = 1000  # samples that are looked at one by one


def fit_batch_size(batches: PlanFactory, update: Update, reporter: Reporter) -> BatchPlan:
    """The batching of a new run; entered by all processes.

    Args:
        batches: of the run.
        update: its optimizer has no state yet, and has none afterwards.
        reporter: told what was tried and found.

    Raises:
        TrainError: there is too little memory, for any sample or for some that are named.
    """
    memory, given = batches.memory, batches.at_most(batches.run.batch_size)
    if not (memory.auto_batch_size or memory.max_memory_gb):
        return BatchPlan(given, batches.step_size)
    if batches.step.device.type == "cpu" and not Path("/proc/self/status").exists():
        raise TrainError(f"{_flag(memory)}: on a CPU memory is measured on Linux alone. Give --batch-size in its place")
    release_free_memory()  # what was used while setting up is free for training
    limit = _limit(batches)
    most = batches.at_most(len(batches.rows)) if memory.auto_batch_size else given
    with probing(batches.step, batches.objective, update, batches.maker) as probe:
        search = BatchSizeSearch(batches, probe, limit, most, reporter)
        _refuse_too_large(batches, search.splitter(1))
        size = given
        if memory.auto_batch_size:
            size = search.batch_size()
            _refuse_too_large(batches, search.splitter(1))  # by what was learned meanwhile
    pairs = size * batches.step.strategy.ranks.size
    if pairs < (2 if batches.objective.needs_pairs else 1):
        raise TrainError(
            f"{_flag(memory)}: {limit / GB:.3g} GB for training do not hold "
            f"{'two samples together, and distances are between samples' if pairs else 'a single sample'}. Allow more, "
            "or give a lower --max-asvs or a smaller --preset"
        )
    chosen = f"batch size {size}: " if memory.auto_batch_size else ""
    reporter.note(f"{chosen}steps may take {limit / GB:.3g} GB beyond what is held now ({search.tried} steps tried)")
    return BatchPlan(size, batches.step_size, limit, asdict(search.model))


def _limit(batches: PlanFactory) -> int:
    ranks, memory = batches.step.strategy.ranks, batches.memory
    limits = [int(memory.max_memory_gb * GB)] if memory.max_memory_gb else []
    if memory.auto_batch_size:
        limits.append(available_memory(batches.step.device, memory.max_memory_fraction, ranks.local_size))
    (least,) = ranks.all_reduce_max([-min(limits)])
    if least >= 0:
        raise TrainError(
            f"{_flag(memory)}: this much of the memory is held already, before the first step. Allow more, or use a "
            "machine that has more"
        )
    return -least


def _refuse_too_large(batches: PlanFactory, splitter: MemorySplitter) -> None:
    """Samples that cannot be trained on within the limit, each alone in its micro-batch."""
    samples, limit, processes = batches.maker.samples, splitter.limit, batches.step.strategy.ranks.size
    richness = samples.most_asvs(batches.rows)
    too_large: list[Sample] = []
    for row in batches.rows[np.argsort(-richness, kind="stable")][:MAX_CHECKED].tolist():
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
    ways = [f"--max-asvs {fitting}"] if fitting else []
    if not batches.step.frozen:
        ways += ["--gradient-checkpointing"] if batches.recompute is False else []
        ways += ["a smaller --asv-chunk-size"]
    ways += ["a smaller --preset"]
    raise TrainError(
        f"{_flag(batches.memory)}: training may take {limit / GB:.3g} GB, and {len(too_large):,} samples need more "
        f"even one by one: {named}; the largest about {needed / GB:.3g} GB. Allow more, or give {', or '.join(ways)}"
    )


def _flag(options: MemoryOptions) -> str:
    if options.max_memory_gb:
        return f"--max-memory-gb {options.max_memory_gb:g}"
    return f"--auto-batch-size (--max-memory-fraction {options.max_memory_fraction:g})"
