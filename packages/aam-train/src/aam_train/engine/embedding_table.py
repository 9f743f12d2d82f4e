"""Cached embeddings of frozen levels, only of the rows that are needed, in the fastest storage with enough space.

A table larger than a quarter of the free memory of the device is stored in host memory; one that is also larger than a
quarter of the free host memory, in a memory-mapped file. The file has no name, so the system removes it however the
process ends.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aam_train.device.available_memory import available_memory
from aam_train.errors import TrainError

Storage = Literal["device", "memory", "disk"]
SHARE = 0.25  # of free memory; the rest is for batches, activations and other tables


class EmbeddingTable:
    """[K, D] embeddings of K rows of a study (ASVs or samples), float32.

    Args:
        rows: int64 [K] row indices, in storage order.
        n_rows: number of rows of the study.
        width: D.
        device: where embeddings are used.
        folder: for the file, if there is one.
        storage: where to store them; chosen by size by default.
        processes: number of processes on this machine, each with its own table.

    Raises:
        TrainError: there is not enough disk space for the file.
    """

    def __init__(
        self,
        rows: np.ndarray,
        n_rows: int,
        width: int,
        device: torch.device,
        folder: Path | None = None,
        storage: Storage | None = None,
        processes: int = 1,
    ) -> None:
        self.device, size = device, len(rows) * width * 4
        self.storage = storage or choose_storage(
            size, available_memory(device, 1.0, processes), available_memory(torch.device("cpu"), 1.0, processes)
        )
        table_device = device if self.storage == "device" else torch.device("cpu")
        if self.storage == "disk":
            self.values = _mapped((len(rows), width), folder or Path(tempfile.gettempdir()))
        else:
            self.values = torch.empty((len(rows), width), device=table_device)
        index = np.full(n_rows, -1, dtype=np.int32)  # looking up a missing row fails
        index[rows] = np.arange(len(rows))
        self.index = torch.from_numpy(index).to(table_device)

    def put(self, rows: Tensor, embeddings: Tensor) -> None:
        """Store the embeddings [R, D] of the rows (int64 [R])."""
        self.values[self._positions(rows)] = embeddings.to(self.values.device)

    def take(self, rows: Tensor) -> Tensor:
        """Return the embeddings of the rows (int64 [R]) on the device, [R, D]; rows on the host avoid waiting for the
        device if the table is on the host too."""
        embeddings = F.embedding(self._positions(rows), self.values)
        if embeddings.device == self.device:
            return embeddings
        return (embeddings.pin_memory() if self.device.type == "cuda" else embeddings).to(
            self.device, non_blocking=True
        )

    def _positions(self, rows: Tensor) -> Tensor:
        device = self.index.device
        # a copy to the host must block: the host would read the rows before they arrive
        return self.index[rows.to(device, non_blocking=device.type == "cuda")]


def choose_storage(size: int, free_on_device: int, free_on_host: int) -> Storage:
    """Choose the storage of a table of ``size`` bytes."""
    if size <= SHARE * free_on_device:
        return "device"
    return "memory" if size <= SHARE * free_on_host else "disk"


def _mapped(shape: tuple[int, int], folder: Path) -> Tensor:
    """Make a tensor in an unnamed, memory-mapped file."""
    folder = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    size = shape[0] * shape[1] * 4
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            file.truncate(size)
            if sys.platform == "linux":  # raises here if the disk is full; later, it would kill the process
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise TrainError(
                f"{folder}: not enough disk space for {size / 1e9:,.1f} GB of embeddings, which do not fit in memory "
                f"either ({error.strerror}). Free some, or choose another disk with --output-dir or TMPDIR"
            ) from error
        return torch.from_numpy(np.memmap(file, dtype=np.float32, mode="r+", shape=shape))
