"""Errors about models and model folders that a user can act on."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5  # names listed in a message, before a count of the others


class ModelError(ValueError):
    """A model, its configuration or its folder is invalid. The message is one complete line."""


def first_few(names: Sequence[str], separator: str = ", ") -> str:
    """Format the first names and the number of the others, as ``"a, b, c, d, e and 7 more"``."""
    shown = separator.join(names[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown
