"""What processes tell each other on the host: decisions, counts, rows of samples. One process alone tells nobody."""

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
    """The processes of a run, seen from one of them. Every method is entered by all of them, in the same order.

    Attributes:
        rank: of this process, from 0.
        size: number of processes.
        local_size: of those on this machine.
    """

    rank: int
    size: int
    local_size: int

    @property
    def is_rank_zero(self) -> bool:
        """Whether this is the process that decides and writes."""
        ...

    def on_rank_zero(self, act: Callable[[], T]) -> T:
        """Let the first process do something and tell the others what came of it (of JSON's types), or went wrong."""
        ...

    def broadcast(self, value: T) -> T:
        """The first process's value, of JSON's types."""
        ...

    def all_reduce_max(self, numbers: Sequence[int]) -> list[int]:
        """The largest of all processes' numbers, one by one."""
        ...

    def all_gather(self, numbers: Sequence[float]) -> np.ndarray:
        """The numbers of all processes, float64 [size, n]."""
        ...

    def all_gather_indices(self, rows: np.ndarray) -> list[np.ndarray]:
        """The int64 rows of each process, which may be of different lengths."""
        ...

    def gather(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        """See `collectives.gather`."""
        ...

    def collect(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        """See `collectives.collect`."""
        ...


class SingleProcess:
    """One process."""

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
    """One of the processes of PyTorch's default process group.

    Args:
        device_group: for tensors on the devices; none of PyTorch's own strategies uses it, so that their collectives
            and ours need no common order.
        host_group: for the host's numbers.
    """

    def __init__(self, device_group: dist.ProcessGroup, host_group: dist.ProcessGroup, local_size: int) -> None:
        self.rank, self.size, self.local_size = dist.get_rank(), dist.get_world_size(), local_size
        self._devices, self._hosts = device_group, host_group

    @property
    def is_rank_zero(self) -> bool:
        return self.rank == 0

    def on_rank_zero(self, act: Callable[[], T]) -> T:
        if not self.is_rank_zero:
            told = self._broadcast_json(None)
            if "refused" in told:
                raise TrainError(told["refused"])
            done: T = told["done"]
            return done
        try:
            done = act()
        except (ValueError, OSError) as error:  # what a user can change; everything else ends this process
            self._broadcast_json({"refused": str(error)})
            raise
        self._broadcast_json({"done": done})
        return done

    def broadcast(self, value: T) -> T:
        agreed: T = self._broadcast_json({"done": value} if self.is_rank_zero else None)["done"]
        return agreed

    def all_reduce_max(self, numbers: Sequence[int]) -> list[int]:
        largest = torch.tensor(numbers, dtype=torch.int64)
        dist.all_reduce(largest, op=dist.ReduceOp.MAX, group=self._hosts)
        return largest.tolist()

    def all_gather(self, numbers: Sequence[float]) -> np.ndarray:
        mine = torch.tensor(numbers, dtype=torch.float64)
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(parts, mine, group=self._hosts)
        return torch.stack(parts).numpy()

    def all_gather_indices(self, rows: np.ndarray) -> list[np.ndarray]:
        sizes = self.all_gather([len(rows)])[:, 0].astype(int).tolist()
        everything = collect(torch.from_numpy(rows), sizes, self._hosts).numpy()
        return np.split(everything, np.cumsum(sizes)[:-1])

    def gather(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        return gather(rows, sizes, self._devices)

    def collect(self, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        return collect(rows, sizes, self._devices)

    def _broadcast_json(self, message: dict[str, Any] | None) -> dict[str, Any]:
        """The first process's message: JSON, so that nothing is unpickled."""
        text = json.dumps(message).encode() if self.is_rank_zero else b""
        size = torch.tensor([len(text)])
        dist.broadcast(size, 0, group=self._hosts)
        content = torch.zeros(int(size), dtype=torch.uint8)
        if self.is_rank_zero:
            content.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
        dist.broadcast(content, 0, group=self._hosts)
        told: dict[str, Any] = json.loads(content.numpy().tobytes())
        return told


@contextlib.contextmanager
def entered_on_rank_zero(ranks: Ranks, context: AbstractContextManager[object]) -> Iterator[None]:
    """A context that the first process is in while all processes are in this one; where it is refused, all are."""
    with contextlib.ExitStack() as stack:

        def enter() -> None:
            stack.enter_context(context)

        ranks.on_rank_zero(enter)
        yield
