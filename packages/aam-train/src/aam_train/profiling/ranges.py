"""Named ranges in a profile. When nothing is recorded, a range costs one check of a variable."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import torch

T = TypeVar("T")
LOAD, FORWARD, BACKWARD, OPTIMIZER = PHASES = ("load", "forward", "backward", "optimizer")
_recording = 0


def record_range(name: str) -> AbstractContextManager[object]:
    """Return a context that appears under this name in a profile of this process."""
    return torch.profiler.record_function(name) if _recording else contextlib.nullcontext()


def record_each(name: str, items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and record the production of each under this name."""
    iterator, end = iter(items), object()
    while True:
        with record_range(name):
            item = next(iterator, end)
        if item is end:
            return
        yield item  # type: ignore[misc]


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Switch ranges on within this context."""
    global _recording
    _recording += 1
    try:
        yield
    finally:
        _recording -= 1
