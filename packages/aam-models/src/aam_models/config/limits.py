"""What configurations are held to: largest sizes, and the check that names what is wrong. Standard library only."""

from __future__ import annotations

from typing import Annotated, TypeVar

from aam_models.errors import ModelError

_T = TypeVar("_T")
Common = Annotated[_T, "common"]

LARGEST_WIDTH, MOST_LAYERS, LONGEST_SEQUENCE = 16_384, 256, 65_536
MOST_RANKS, MOST_TAXA = 32, 1_000_000
MOST_COLUMNS, MOST_CATEGORIES, MOST_LATENTS, MOST_EXPERTS = 1_000, 1_000_000, 65_536, 256


def require(condition: bool, message: str) -> None:
    """Raise ModelError with the message unless the condition holds."""
    if not condition:
        raise ModelError(message)


def split_columns(flag: str, values: tuple[str, ...]) -> tuple[str, ...]:
    """Names of metadata columns, given one by one or with commas between them. Raises ModelError, naming the flag."""
    names = tuple(name.strip() for value in values for name in value.split(","))
    require(all(names), f"{flag} {','.join(values)}: the name of a column is empty")
    require(len(set(names)) == len(names), f"{flag}: given twice: {', '.join(names)}")
    return names
