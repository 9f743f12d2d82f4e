"""Errors about models and model folders that a user can act on."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5  # names listed in a message; a count tells how many more there are


class ModelError(ValueError):
    """A model, its configuration or its folder is not what it has to be. The message is one complete line."""


def first_few(names: Sequence[str], separator: str = ", ") -> str:
    """``"a, b, c, d, e and 7 more"``: the first names and how many there are beyond them."""
    shown = separator.join(names[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown
