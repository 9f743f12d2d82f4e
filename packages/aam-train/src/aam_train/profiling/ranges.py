"""Names for stretches of time in a profile. Where nothing is recorded they are nothing but a look at a variable."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import torch

T = TypeVar("T")
LOAD, FORWARD, BACKWARD, OPTIMIZER = PHASES = ("load", "forward", "backward", "optimizer")
_recorded = 0


def record_range(name: str) -> AbstractContextManager[object]:
    """What happens in here has this name in a profile of this process."""
    return torch.profiler.record_function(name) if _recorded else contextlib.nullcontext()


def record_each(name: str, items: Iterable[T]) -> Iterator[T]:
    """The same items; making each of them has this name."""
    iterator, end = iter(items), object()
    while True:
        with record_range(name):
            item = next(iterator, end)
        if item is end:
            return
        yield item  # type: ignore[misc]


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Labels are written from here on."""
    global _recorded
    _recorded += 1
    try:
        yield
    finally:
        _recorded -= 1
