"""Limits of configurations, and the checks that report what exceeds them. Standard library only."""

from __future__ import annotations

from typing import Annotated, NamedTuple, TypeVar

from aam_models.errors import ModelError

_T = TypeVar("_T")
Common = Annotated[_T, "common"]  # an option that `--help` shows; `--help-all` shows the others too

MAX_WIDTH, MAX_LAYERS, MAX_SEQUENCE_LENGTH = 16_384, 256, 65_536
MAX_OUTPUTS, MAX_RANKS, MAX_TAXA = 1_000_000, 32, 1_000_000
MAX_PARAMETERS = 10**10  # 40 GB of weights
MAX_COLUMNS, MAX_CATEGORIES, MAX_LATENTS, MAX_EXPERTS = 1_000, 1_000_000, 65_536, 256


def require(condition: bool, message: str) -> None:
    """Raise ModelError with the message unless the condition is true."""
    if not condition:
        raise ModelError(message)


class Size(NamedTuple):
    """Numbers and tensors that a model has at least; known from its configuration, without building it."""

    parameters: int
    tensors: int

    def check(self, what: str) -> None:
        """Raise ModelError if there are more parameters than any computer holds."""
        require(
            self.parameters <= MAX_PARAMETERS,
            f"{what}: a model of more than {self.parameters:,} parameters; at most {MAX_PARAMETERS:,}",
        )


def transformer_size(width: int, layers: int) -> Size:
    """Return the size of a transformer's weight matrices: 12 squares of the width in 4 matrices for each layer."""
    return Size(12 * width**2 * layers, 4 * layers)


def split_columns(flag: str, values: tuple[str, ...]) -> tuple[str, ...]:
    """Split the value of an option into names of metadata columns, which commas may separate.

    Raises:
        ModelError: naming the flag, for a name that is empty or occurs twice.
    """
    names = tuple(name.strip() for value in values for name in value.split(","))
    require(all(names), f"{flag} {','.join(values)}: the name of a column is empty")
    twice = [name for position, name in enumerate(names) if name in names[:position]]
    require(not twice, f"{flag} {','.join(names)}: duplicate column: {', '.join(twice)}")
    return names
