"""Options of corpora. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aam_data.options.base import Common, require
from aam_data.options.input_path import InputFile

STUDY_COLUMN = "corpus_study"  # the column with the names of studies that every corpus has


@dataclass(frozen=True)
class CorpusStudyOptions:
    """The study to add."""

    name: Common[str]
    """Name of the study in the corpus: letters, digits, dots, hyphens and underscores."""
    tree: Common[InputFile[Path | None]] = None
    """Rooted tree with the ASVs as tips: newick (.nwk, .newick, .tre, .tree, .gz) or Phylogeny[Rooted] .qza."""
    missing_tips: Literal["error", "ignore"] = "error"
    """ASVs that are not in the tree have no part in distances; `error` stops when they hold more than 5 % of all reads,
    `ignore` accepts any share."""
    clip_negative_lengths: bool = False
    """Read negative branch lengths, which some methods estimate, as 0 and report how many; an error otherwise."""
    prefix_samples: bool = False
    """Write the name of the study and a / in front of its sample ids, which may be those of other studies then."""

    def __post_init__(self) -> None:
        require(
            not self.clip_negative_lengths or self.tree is not None,
            "--clip-negative-lengths only applies to --tree; pass both",
        )
