"""The plan of a run's batches, and loading of the batches, in worker processes if requested."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from aam_data.errors import first_few
from aam_data.preprocessing.dataset import SampleDataset
from aam_data.preprocessing.rarefaction import FIXED_DRAW as FIXED_DRAW
from aam_data.random_keys import Purpose, generator
from aam_models.batch.batch import Batch
from aam_train.data.collate import KEEP_ALL, ActivationPlan, Collator
from aam_train.data.corruptions import Corruptions
from aam_train.data.step_split import EvenSplitter, StepSplitter
from aam_train.errors import TrainError
from aam_train.signals import EXIT_CODES

EpochOrder = Callable[[int], np.ndarray]  # the samples of an epoch, in the order in which its steps use them


@dataclass(frozen=True, eq=False)
class BatchRequest:
    """Specification of a batch.

    Attributes:
        rows: int64 rows of the study's samples.
        draw: rarefaction draw of the samples.
        corruptions: what is hidden or looked up.
        activations: those that training keeps.
    """

    rows: np.ndarray
    draw: int
    corruptions: Corruptions
    activations: ActivationPlan = KEEP_ALL


class TrainingPlan:
    """All batches of a run, keyed by (seed, epoch, position): independent of interruptions and number of workers.

    Every epoch uses all samples, or as many. The sizes of steps differ by at most one sample; so do those of a step's
    micro-batches and of their parts, if the splitter is even.

    Args:
        rows: int64 rows of the training samples, in an order that does not depend on the table's.
        batch_size: maximum samples of a micro-batch, over all processes.
        seed: of the order.
        corruptions: of training batches.
        accumulation: maximum micro-batches of a step, if they are even.
        part: index of this process's part of every micro-batch, and the number of parts.
        step_size: maximum samples of a step; those of ``accumulation`` micro-batches by default.
        splitter: divides steps into micro-batches; evenly by default.
        order: returns the samples of an epoch in their order, always as many; all of ``rows``, shuffled, by default.

    Raises:
        TrainError: some micro-batch has fewer samples than there are processes.
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch_size: int,
        seed: int,
        corruptions: Corruptions,
        accumulation: int = 1,
        part: tuple[int, int] = (0, 1),
        *,
        step_size: int | None = None,
        splitter: StepSplitter | None = None,
        order: EpochOrder | None = None,
    ) -> None:
        self.rows, self.seed, self.corruptions, self.part = rows, seed, corruptions, part
        self.order = order or partial(epoch_order, rows, seed)
        even = EvenSplitter(batch_size)
        self.splitter = splitter or even
        self.steps_per_epoch = max(1, -(-len(rows) // (step_size or batch_size * accumulation)))
        steps = np.array_split(rows, self.steps_per_epoch)
        fewest = min(len(micro.rows) for step in (steps[0], steps[-1]) for (micro,) in even.split(step, 0, 1))
        if fewest < part[1]:
            raise TrainError(
                f"{len(rows):,} training samples make micro-batches of {fewest} to {batch_size} samples, which "
                f"{part[1]} processes cannot share. Start fewer processes, or raise --batch-size"
            )

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[BatchRequest]]:
        """Yield the steps of an epoch from step ``first`` on, each a list of this process's parts of micro-batches."""
        index, n_parts = self.part
        for rows in np.array_split(self.order(epoch), self.steps_per_epoch)[first:]:
            own = [parts[index] for parts in self.splitter.split(rows, epoch, n_parts)]
            yield [BatchRequest(part.rows, epoch, self.corruptions, part.activations) for part in own]

    def stream(self, first_step: int, epochs: int) -> Iterator[list[BatchRequest]]:
        """Yield all steps from ``first_step`` (from 0) to the end of the last epoch."""
        epoch, position = divmod(first_step, self.steps_per_epoch)
        for number in range(epoch, epochs):
            yield from self.epoch(number, position if number == epoch else 0)


def epoch_order(rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Return the samples in the order in which the steps of an epoch use them."""
    return generator(seed, Purpose.ORDER, epoch).permutation(rows)


class BatchMaker(Dataset):
    """Dataset that turns requests into batches; runs in the workers of a loader."""

    def __init__(self, samples: SampleDataset, collator: Collator) -> None:
        self.samples, self.collator = samples, collator

    def __getitem__(self, request: BatchRequest) -> Batch:
        samples = self.samples.samples(request.rows, request.draw)
        return self.collator.collate(samples, request.draw, request.corruptions, request.activations)


class _Requests:
    """Sampler over an iterator of requests."""

    def __init__(self, requests: Iterator[BatchRequest]) -> None:
        self.requests = requests

    def __iter__(self) -> Iterator[BatchRequest]:
        return self.requests


def load(
    maker: BatchMaker, steps: Iterable[list[BatchRequest]], *, workers: int, device: torch.device
) -> Iterator[list[Batch]]:
    """Yield the micro-batches of each step, in order, on the host.

    Raises:
        TrainError: a worker process died; names the samples that it was preparing.
    """
    for_sizes, for_batches = itertools.tee(steps)
    batches = _load_each(maker, itertools.chain.from_iterable(for_batches), workers, device)
    for requests in for_sizes:
        try:
            step = list(itertools.islice(batches, len(requests)))
        except (RuntimeError, ConnectionError, EOFError) as error:
            # a worker that dies while it sends a batch only shows as a broken connection
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            ids = maker.samples.study.table.sample_ids[np.concatenate([request.rows for request in requests])]
            raise TrainError(
                f"a process that prepares batches died ({str(error) or type(error).__name__}) "
                f"before the batch of {first_few(ids.tolist())}; "
                "usually memory ran out. Lower --num-workers or --batch-size"
            ) from error
        yield step


def _load_each(
    maker: BatchMaker, requests: Iterator[BatchRequest], workers: int, device: torch.device
) -> Iterator[Batch]:
    loader = DataLoader(
        maker,
        sampler=_Requests(requests),
        batch_size=None,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=_leave_signals_to_main,
        # forked workers share the study's memory and only use numpy
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)
        with _errors_reach_readers_only():
            return iter(loader)


@contextlib.contextmanager
def _errors_reach_readers_only() -> Iterator[None]:
    """Keep the handler of SIGCHLD, which torch replaces by one that raises wherever the program is.

    Without that one, torch finds a dead worker when it waits for its batch, within 5 seconds.
    """
    before = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, before)


def _leave_signals_to_main(worker: int) -> None:
    """Ignore signals in a worker.

    Clusters signal every process of a job, and workers must survive until the step is done and the state is saved.
    """
    for name in EXIT_CODES:
        signal.signal(getattr(signal, name), signal.SIG_IGN)


def default_workers(device: torch.device, processes: int = 1) -> int:
    """Return the default number of workers: 4 for a GPU, fewer if ``processes`` share few CPUs, 0 for a CPU."""
    if device.type == "cpu":
        return 0
    return min(4, max(0, (os.cpu_count() or 1) // processes - 1))
