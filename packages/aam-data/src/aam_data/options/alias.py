"""Older accepted spellings of options. Standard library only."""

from __future__ import annotations


class Alias:
    """Older spellings of an option, declared next to its field.

    They work on the command line, where the help does not list them, and as keys of TOML files.

    Example:
        >>> from dataclasses import dataclass
        >>> from typing import Annotated
        >>> @dataclass(frozen=True)
        ... class SampleOptions:
        ...     max_asvs: Annotated[int, Alias("token_limit")] = 1024
    """

    def __init__(self, *names: str) -> None:
        self.names = names
