"""What the first process of a run does for all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

from aam_train.parallel.ranks import Ranks


@contextlib.contextmanager
def held_by_first(ranks: Ranks, context: AbstractContextManager[object]) -> Iterator[None]:
    """A context that the first process is in while all processes are in this one; where it is refused, all are."""
    with contextlib.ExitStack() as stack:

        def enter() -> None:
            stack.enter_context(context)

        ranks.first(enter)
        yield
