"""Host-side collectives: broadcast, all-gather, max. No-ops for a single process."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from aam_train.errors import TrainError
from aam_train.parallel.collectives import collect, gather

T = TypeVar("T")


class Ranks(Protocol):
    """The processes of a run, seen from one of them. All processes must call every method, in the same order.

    Attributes:
        rank: of this process, from 0.
        size: number of processes.
        local_size: number of processes on this machine.
    """

    rank: int
    size: int
    local_size: int

    @property
    def is_rank_zero(self) -> bool:
        """True for the process that decides and writes."""
        ...

    def on_rank_zero(self, act: Callable[[], T]) -> T:
        """Call ``act`` on rank 0 and return its result (of JSON types) on all processes; a user error raises on all."""
        ...

    def broadcast(self, value: T) -> T:
        """Return rank 0's value (of JSON types) on all processes."""
        ...

    def all_reduce_max(self, numbers: Sequence[int]) -> list[int]:
        """Return the elementwise maximum over all processes."""
        ...

    def all_gather(self, numbers: Sequence[float]) -> np.ndarray:
        """Return the numbers of all processes, float64 [size, n]."""
        ...

    def all_gather_indices(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return the int64 row indices of each process, whose number may differ."""
        ...

    def gather(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        """See `collectives.gather`."""
        ...

    def collect(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        """See `collectives.collect`."""
        ...


class SingleProcess:
    """The ranks of a run with one process."""

    rank, size, local_size, is_rank_zero = 0, 1, 1, True

    def on_rank_zero(self, act: Callable[[], T]) -> T:
        return act()

    def broadcast(self, value: T) -> T:
        return value

    def all_reduce_max(self, numbers: Sequence[int]) -> list[int]:
        return list(numbers)

    def all_gather(self, numbers: Sequence[float]) -> np.ndarray:
        return np.array([numbers], dtype=np.float64)

    def all_gather_indices(self, rows: np.ndarray) -> list[np.ndarray]:
        return [rows]

    def gather(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        return rows

    def collect(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        return rows


class ProcessGroup:
    """One process of PyTorch's default process group.

    Args:
        device_group: for tensors on the devices; separate from the group of PyTorch's own strategies, so that their
            collectives and ours need no common order.
        host_group: for numbers on the host.
        local_size: number of processes on this machine.
    """

    def __init__(self, device_group: dist.ProcessGroup, host_group: dist.ProcessGroup, local_size: int) -> None:
        self.rank, self.size, self.local_size = dist.get_rank(), dist.get_world_size(), local_size
        self._devices, self._hosts = device_group, host_group

    @property
    def is_rank_zero(self) -> bool:
        return self.rank == 0

    def on_rank_zero(self, act: Callable[[], T]) -> T:
        if not self.is_rank_zero:
            message = self._broadcast_json(None)
            if "error" in message:
                raise TrainError(message["error"])
            received: T = message["result"]
            return received
        try:
            result = act()
        except (ValueError, OSError) as error:  # errors that a user can fix; any other ends this process
            self._broadcast_json({"error": str(error)})
            raise
        self._broadcast_json({"result": result})
        return result

    def broadcast(self, value: T) -> T:
        received: T = self._broadcast_json({"result": value} if self.is_rank_zero else None)["result"]
        return received

    def all_reduce_max(self, numbers: Sequence[int]) -> list[int]:
        largest = torch.tensor(numbers, dtype=torch.int64)
        dist.all_reduce(largest, op=dist.ReduceOp.MAX, group=self._hosts)
        return largest.tolist()

    def all_gather(self, numbers: Sequence[float]) -> np.ndarray:
        own = torch.tensor(numbers, dtype=torch.float64)
        parts = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(parts, own, group=self._hosts)
        return torch.stack(parts).numpy()

    def all_gather_indices(self, rows: np.ndarray) -> list[np.ndarray]:
        sizes = self.all_gather([len(rows)])[:, 0].astype(int).tolist()
        all_rows = collect(torch.from_numpy(rows), sizes, self._hosts).numpy()
        return np.split(all_rows, np.cumsum(sizes)[:-1])

    def gather(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        return gather(rows, sizes, self._devices)

    def collect(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        return collect(rows, sizes, self._devices)

    def _broadcast_json(self, message: dict[str, Any] | None) -> dict[str, Any]:
        """Broadcast rank 0's message, as JSON so that nothing is unpickled."""
        text = json.dumps(message).encode() if self.is_rank_zero else b""
        size = torch.tensor([len(text)])
        dist.broadcast(size, 0, group=self._hosts)
        content = torch.zeros(int(size), dtype=torch.uint8)
        if self.is_rank_zero:
            content.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
        dist.broadcast(content, 0, group=self._hosts)
        received: dict[str, Any] = json.loads(content.numpy().tobytes())
        return received


@contextlib.contextmanager
def entered_on_rank_zero(ranks: Ranks, context: AbstractContextManager[object]) -> Iterator[None]:
    """Enter a context on rank 0 for as long as all processes are in this one; if entering it fails, all raise."""
    with contextlib.ExitStack() as stack:

        def enter() -> None:
            stack.enter_context(context)

        ranks.on_rank_zero(enter)
        yield
