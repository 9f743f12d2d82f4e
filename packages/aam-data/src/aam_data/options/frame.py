"""Options of the frame of sequences. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FrameOptions:
    """Where reads start on the gene, compared with those of the model."""

    frame: Literal["auto", "ignore"] = "auto"
    """`auto` finds where the reads of the table lie on those that the model learned from, moves, turns and cuts
    them accordingly, and stops if they are of another region; `ignore` takes them as they are."""
