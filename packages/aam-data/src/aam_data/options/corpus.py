"""Options of corpora. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aam_data.options.base import Common, require
from aam_data.options.input_path import InputFile, InputFolder

STUDY_COLUMN = "corpus_study"  # the column with the names of studies that every corpus has


@dataclass(frozen=True)
class CorpusOptions:
    """A corpus instead of a table."""

    corpus: Common[InputFolder[Path | None]] = None
    """Folder of `aam corpus add` instead of --table and the files that belong to it. Distances are learned within each
    study that has a tree; --group-column corpus_study keeps whole studies on one side of the split."""
    study_temperature: float = 1.0
    """Shares of the studies in an epoch, proportional to their size to this power: 1 = as they are, 0 = equal."""

    def __post_init__(self) -> None:
        require(
            0 <= self.study_temperature <= 1, f"--study-temperature {self.study_temperature}: must be between 0 and 1"
        )
        require(
            self.corpus is not None or self.study_temperature == 1,
            "--study-temperature only applies to --corpus; pass both",
        )


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
