"""Newick trees as arrays: no object per node or name, no recursion, no loop over levels.

Grammar: https://phylipweb.github.io/phylip/newicktree.html. Underscores stay underscores. Names in single quotes are
unquoted ('' stands for one quote), double quotes are ordinary letters. Comments in square brackets are skipped and do
not nest. Names of internal nodes, often bootstrap values, are skipped too.

The text is read block by block. Memory is the text (twice, if it holds quotes or comments) and at most 70 bytes for
each tip and each other node; benchmarks/newick.py measures it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam_data.errors import SHOWN, DataError
from aam_data.readers.newick.nodes import NewickNodes, label_nodes
from aam_data.readers.newick.tip_names import TipNames
from aam_data.readers.newick.tokens import NewickText
from aam_data.readers.qiime2 import is_artifact, open_artifact
from aam_data.readers.source import byte_limit, first_bytes, read_bounded

_FLAG = "--tree"
_ROOTED, _UNROOTED = "Phylogeny[Rooted]", "Phylogeny[Unrooted]"
_NEEDS_QUOTES = re.compile(r"[\s\ufeff'\[\](),:;]")


@dataclass(frozen=True, eq=False)
class NewickTree:
    """A rooted tree in depth-first order: the root is node 0, and the descendants of a node follow it without a gap.

    Attributes:
        parent: int32 [n]; -1 for the root, smaller than the node's own number for all others.
        length: float64 [n] length of the branch above each node; 0 for the root, whose own length means nothing.
        tip_names: of the tips, in their order.
        tips: int32 [n_tips] node numbers of the tips, ascending.
        notes: sentences about what was unusual or changed.
    """

    parent: np.ndarray
    length: np.ndarray
    tip_names: TipNames
    tips: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def n_nodes(self) -> int:
        return len(self.parent)

    @property
    def n_tips(self) -> int:
        return len(self.tips)

    def root_degree(self) -> int:
        """Children of the root: 2 in a rooted binary tree, usually 3 in one that was never rooted."""
        return int(np.count_nonzero(self.parent == 0))

    def last_descendants(self) -> np.ndarray:
        """Number of the last node below each node (itself for tips), int32 [n].

        Last children are followed by pointer doubling: as many rounds as the logarithm of the tree's depth.
        """
        last = np.arange(self.n_nodes, dtype=np.int32)
        last[self.parent[1:]] = np.arange(1, self.n_nodes, dtype=np.int32)  # of several children the last one stays
        while True:
            further = last[last]
            if np.array_equal(further, last):
                return last
            last = further


def read_newick(path: Path, max_input_gb: float = 8.0, *, clip_negative_lengths: bool = False) -> NewickTree:
    """Read a newick file (plain or gzip, of any name) or a QIIME 2 artifact Phylogeny[Rooted] or [Unrooted].

    Args:
        clip_negative_lengths: read negative branch lengths as 0; their number is noted.

    Raises:
        DataError: the file is not one newick tree, or it cannot carry UniFrac: branch lengths missing, negative or
            not finite, tips without a name or several with the same one.
    """
    start, limit = first_bytes(path, _FLAG), byte_limit(max_input_gb)
    kind = ""
    if is_artifact(path, start):
        artifact = open_artifact(path, (_ROOTED, _UNROOTED), limit)
        content, kind = artifact.payload, artifact.type
        del artifact
    else:
        content = read_bounded(path, start, limit)
    return parse_newick(content, path, unrooted=kind.startswith(_UNROOTED), clip_negative_lengths=clip_negative_lengths)


def parse_newick(
    content: bytes, file: Path | str = "newick", *, unrooted: bool = False, clip_negative_lengths: bool = False
) -> NewickTree:
    """The tree in ``content``; errors name ``file``. Raises as ``read_newick``.

    Args:
        unrooted: the file says that its tree has no root, so the place where the text begins is noted as arbitrary.
    """
    text = NewickText(content, file)
    nodes = NewickNodes(text)
    for pieces in text.pieces():
        nodes.add(pieces)
    parent, tips, names = nodes.parent(), nodes.tips(), nodes.tip_names()
    length, notes = nodes.length(tips, names), []
    negative = np.flatnonzero(length < 0)
    if len(negative):
        what = f"{len(negative):,} of {len(length) - 1:,} branch lengths are negative"
        if not clip_negative_lengths:
            few = negative[:SHOWN]
            pairs = zip(length[few].tolist(), label_nodes(few, tips, names), strict=True)
            offenders = [f"{value!r} of {label}" for value, label in pairs]
            raise DataError(what, file=file, offenders=offenders, remedy="Read them as 0: --clip-negative-lengths")
        length[negative] = 0.0
        notes.append(f"{what} and were read as 0")
    tree = NewickTree(parent, length, names, tips)
    if unrooted or tree.root_degree() > 2:
        notes.insert(0, _about_the_root(tree.root_degree(), unrooted, file))
    return NewickTree(parent, length, names, tips, tuple(notes))


def format_newick(tree: NewickTree) -> str:
    """``tree`` as one line of newick, without internal names; lengths survive reading back exactly."""
    is_tip = np.zeros(tree.n_nodes, dtype=bool)
    is_tip[tree.tips] = True
    names = map(_quote, tree.tip_names)
    last, lengths = tree.last_descendants(), tree.length
    parts: list[str] = []
    open_nodes: list[int] = []
    for node, tip in enumerate(is_tip.tolist()):
        open_nodes.append(node)
        if not tip:
            parts.append("(")
            continue
        parts.append(next(names))
        while open_nodes and last[open_nodes[-1]] == node:
            closed = open_nodes.pop()
            bracket = "" if closed == node else ")"
            parts.append(f"{bracket}:{lengths[closed].item()!r}" if closed else f"{bracket};")
        if open_nodes:
            parts.append(",")
    return "".join(parts)


def _quote(name: str) -> str:
    return "'" + name.replace("'", "''") + "'" if _NEEDS_QUOTES.search(name) else name


def _about_the_root(degree: int, unrooted: bool, file: Path | str) -> str:
    name = file.name if isinstance(file, Path) else file
    what = f"{name} is a {_UNROOTED}" if unrooted else f"the root of {name} has {degree} children, as in unrooted trees"
    return f"{what}; UniFrac depends on the root (qiime phylogeny midpoint-root makes one)"
