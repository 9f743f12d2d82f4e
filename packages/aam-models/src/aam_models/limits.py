"""What configurations are held to: largest sizes, and the check that names what is wrong. Standard library only."""

from __future__ import annotations

from typing import Annotated, TypeVar

from aam_models.errors import ModelError

_T = TypeVar("_T")
Common = Annotated[_T, "common"]

LARGEST_WIDTH, MOST_LAYERS, LONGEST_SEQUENCE = 16_384, 256, 65_536
MOST_RANKS, MOST_TAXA = 32, 1_000_000
MOST_COLUMNS, MOST_CATEGORIES, MOST_LATENTS = 1_000, 1_000_000, 65_536


def require(condition: bool, message: str) -> None:
    """Raise ModelError with the message unless the condition holds."""
    if not condition:
        raise ModelError(message)
