"""Which samples in which batch, and loaders that make the batches (in worker processes, if asked)."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from aam_data.dataset import SampleDataset
from aam_data.keys import Purpose, generator
from aam_data.rarefaction import FIXED_DRAW as FIXED_DRAW
from aam_models.batch import Batch
from aam_train.collate import Collator, Masking
from aam_train.signals import EXIT_CODES


@dataclass(frozen=True, eq=False)
class BatchRequest:
    """What one batch is made of: samples (int64 rows of the study), their draw, and what is masked."""

    rows: np.ndarray
    draw: int
    masking: Masking


class TrainingPlan:
    """Every batch of a run, by (seed, epoch, position): the same whatever was interrupted or how many workers.

    Args:
        rows: int64 rows of the training samples, in an order that does not depend on the table's.
        batch_size: samples per batch; all samples are used in every epoch, batches differ in size by at most one.
        seed: of the order.
        masking: of training batches.
    """

    def __init__(self, rows: np.ndarray, batch_size: int, seed: int, masking: Masking) -> None:
        self.rows, self.seed, self.masking = rows, seed, masking
        self.steps_per_epoch = max(1, -(-len(rows) // batch_size))

    def epoch(self, epoch: int) -> list[BatchRequest]:
        """The batches of one epoch."""
        order = generator(self.seed, Purpose.ORDER, epoch).permutation(self.rows)
        return [BatchRequest(part, epoch, self.masking) for part in np.array_split(order, self.steps_per_epoch)]

    def stream(self, first_step: int, epochs: int) -> Iterator[BatchRequest]:
        """All batches from step ``first_step`` (counted from 0) to the end of the last epoch."""
        epoch, position = divmod(first_step, self.steps_per_epoch)
        later = (self.epoch(e) for e in range(epoch + 1, epochs))
        first = self.epoch(epoch)[position:] if epoch < epochs else []
        return itertools.chain(first, itertools.chain.from_iterable(later))


def fixed_requests(rows: np.ndarray, batch_size: int, masking: Masking | None = None) -> list[BatchRequest]:
    """Batches of validation and prediction: all rows, in order, the fixed draw, nothing masked unless asked."""
    masking = masking or Masking()
    return [
        BatchRequest(rows[start : start + batch_size], FIXED_DRAW, masking) for start in range(0, len(rows), batch_size)
    ]


class BatchMaker(Dataset):
    """Requests -> batches; what a loader's worker runs."""

    def __init__(self, samples: SampleDataset, collator: Collator) -> None:
        self.samples, self.collator = samples, collator

    def __getitem__(self, request: BatchRequest) -> Batch:
        return self.collator.collate(self.samples.samples(request.rows, request.draw), request.draw, request.masking)


class _Requests:
    """A sampler over an iterator of requests."""

    def __init__(self, requests: Iterator[BatchRequest] | Sequence[BatchRequest]) -> None:
        self.requests = requests

    def __iter__(self) -> Iterator[BatchRequest]:
        return iter(self.requests)


def load(
    maker: BatchMaker,
    requests: Iterator[BatchRequest] | Sequence[BatchRequest],
    *,
    workers: int,
    device: torch.device,
) -> Iterator[Batch]:
    """Batches of the requests, in their order, on the host."""
    loader = DataLoader(
        maker,
        sampler=_Requests(requests),
        batch_size=None,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=_leave_signals_to_main,
        # forked workers share the study's memory, and do nothing but numpy in it
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)
        return iter(loader)


def _leave_signals_to_main(worker: int) -> None:
    """Clusters signal every process of a job: workers must live on until the step is done and the state is saved."""
    for name in EXIT_CODES:
        signal.signal(getattr(signal, name), signal.SIG_IGN)


def default_workers(device: torch.device) -> int:
    """4 beside a GPU, fewer on a small machine; none where the CPU does the model's work."""
    if device.type == "cpu":
        return 0
    return min(4, max(0, (os.cpu_count() or 1) - 1))
