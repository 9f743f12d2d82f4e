"""Embeddings of frozen parts, kept where there is room: of the rows that are needed, and of no others.

A table that takes more than a quarter of what is free on the device is kept in the host's memory; one that takes more
than a quarter of that too, in a file that is mapped into memory. The file has no name, so the system removes it
whichever way the process ends.
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
SHARE = 0.25  # of what is free; the rest is for batches, activations and other tables


class EmbeddingTable:
    """[K, D] embeddings of K rows of a study (ASVs or samples), float32.

    Args:
        rows: int64 [K] which they are, in the order in which they are kept.
        n_rows: of the study.
        width: D.
        device: where embeddings are used.
        folder: where a file is made, if it has to be.
        storage: where they are kept; by size when not given.
        processes: on this machine, each with a table of its own.

    Raises:
        TrainError: there is no room for the file.
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
        kept_on = device if self.storage == "device" else torch.device("cpu")
        if self.storage == "disk":
            self.values = _mapped((len(rows), width), folder or Path(tempfile.gettempdir()))
        else:
            self.values = torch.empty((len(rows), width), device=kept_on)
        index = np.full(n_rows, -1, dtype=np.int32)  # a row that is not there is refused when it is looked up
        index[rows] = np.arange(len(rows))
        self.index = torch.from_numpy(index).to(kept_on)

    def put(self, rows: Tensor, embeddings: Tensor) -> None:
        """Keep the embeddings [R, D] of the rows (int64 [R])."""
        self.values[self._places(rows)] = embeddings.to(self.values.device)

    def take(self, rows: Tensor) -> Tensor:
        """Embeddings of the rows (int64 [R]) on the device, [R, D]; rows on the host spare a wait where they are kept
        there."""
        found = F.embedding(self._places(rows), self.values)
        if found.device == self.device:
            return found
        return (found.pin_memory() if self.device.type == "cuda" else found).to(self.device, non_blocking=True)

    def _places(self, rows: Tensor) -> Tensor:
        kept_on = self.index.device
        return self.index[rows.to(kept_on, non_blocking=kept_on.type == "cuda")]  # the host would read too early


def choose_storage(size: int, free_on_device: int, free_on_host: int) -> Storage:
    """Where a table of ``size`` bytes is kept."""
    if size <= SHARE * free_on_device:
        return "device"
    return "memory" if size <= SHARE * free_on_host else "disk"


def _mapped(shape: tuple[int, int], folder: Path) -> Tensor:
    """A tensor in a file without a name."""
    folder = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    size = shape[0] * shape[1] * 4
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            file.truncate(size)
            if sys.platform == "linux":  # a full disk is an error here, and would end the process later
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise TrainError(
                f"{folder}: no room for {size / 1e9:,.1f} GB of embeddings, for which memory does not suffice either "
                f"({error.strerror}). Free some, or name another place with --output-dir or TMPDIR"
            ) from error
        return torch.from_numpy(np.memmap(file, dtype=np.float32, mode="r+", shape=shape))
