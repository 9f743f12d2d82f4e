"""Newick trees as arrays, without an object per node or name, recursion, or a loop over levels.

Grammar: https://phylipweb.github.io/phylip/newicktree.html. Underscores stay underscores. Names in single quotes are
unquoted ('' is one quote); double quotes are ordinary letters. Comments in square brackets are skipped and do
not nest. Names of internal nodes, often bootstrap values, are skipped too.

The text is read block by block. Memory is the text (twice, if it has quotes or comments) and at most 70 bytes for each
tip and each other node; benchmarks/newick.py measures it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam_data.errors import MAX_SHOWN, DataError
from aam_data.notes import Note
from aam_data.readers.newick.nodes import NewickNodes, label_nodes
from aam_data.readers.newick.tip_names import TipNames
from aam_data.readers.newick.tokens import NewickText, reject_nameless
from aam_data.readers.qiime2 import is_artifact, open_artifact
from aam_data.readers.source import byte_limit, first_bytes, read_bounded

_FLAG = "--tree"
_ROOTED, _UNROOTED = "Phylogeny[Rooted]", "Phylogeny[Unrooted]"
_NEEDS_QUOTES = re.compile(r"[\s\ufeff'\[\](),:;]")


@dataclass(frozen=True, eq=False)
class NewickTree:
    """Rooted tree in depth-first order: the root is node 0, and the descendants of a node follow it without a gap.

    Attributes:
        parent: int32 [n]; -1 for the root, smaller than the node's own number for all others.
        length: float64 [n] length of the branch above each node; 0 for the root, whose own length is meaningless.
        tip_names: names of the tips, in their order.
        tips: int32 [n_tips] node numbers of the tips, ascending.
        notes: notes about anything unusual or changed.
    """

    parent: np.ndarray
    length: np.ndarray
    tip_names: TipNames
    tips: np.ndarray
    notes: tuple[Note, ...] = ()

    @property
    def n_nodes(self) -> int:
        return len(self.parent)

    @property
    def n_tips(self) -> int:
        return len(self.tips)

    def root_degree(self) -> int:
        """Count the children of the root: 2 in a rooted binary tree, usually 3 in an unrooted one."""
        return int(np.count_nonzero(self.parent == 0))

    def last_descendants(self) -> np.ndarray:
        """Return the number of the last node below each node (itself for tips), int32 [n].

        Pointer doubling follows last children: the number of rounds is the logarithm of the depth of the tree.
        """
        last = np.arange(self.n_nodes, dtype=np.int32)
        last[self.parent[1:]] = np.arange(1, self.n_nodes, dtype=np.int32)  # the last of several children wins
        while True:
            doubled = last[last]
            if np.array_equal(doubled, last):
                return last
            last = doubled


def read_newick(path: Path, max_input_gb: float = 8.0, *, clip_negative_lengths: bool = False) -> NewickTree:
    """Read a tree for UniFrac.

    Args:
        path: Newick, plain or gzip, of any name, or a QIIME 2 artifact Phylogeny[Rooted] or [Unrooted].
        max_input_gb: maximum size of the content.
        clip_negative_lengths: read negative branch lengths as 0; a note reports their number.

    Returns:
        The tree.

    Raises:
        DataError: the file is not one Newick tree, or it is unsuitable for UniFrac: branch lengths that are missing,
            negative or not finite, tips without a name or with the same name.

    Example:
        >>> tree = read_newick(Path("rooted-tree.qza"))
    """
    start, limit = first_bytes(path, _FLAG), byte_limit(max_input_gb)
    kind = ""
    if is_artifact(path, start):
        artifact = open_artifact(path, (_ROOTED, _UNROOTED), limit)
        content, kind = artifact.payload, artifact.type
        del artifact
    else:
        content = read_bounded(path, start, limit)
    reject_nameless(content, path)
    return parse_newick(content, path, unrooted=kind.startswith(_UNROOTED), clip_negative_lengths=clip_negative_lengths)


def parse_newick(
    content: bytes, file: Path | str = "newick", *, unrooted: bool = False, clip_negative_lengths: bool = False
) -> NewickTree:
    """Parse the tree in ``content``; errors name ``file``. Raises as ``read_newick``.

    Args:
        unrooted: whether the file declares its tree as unrooted; a note then reports that the root is arbitrary.
    """
    text = NewickText(content, file)
    nodes = NewickNodes(text)
    for pieces in text.pieces():
        nodes.add(pieces)
    parent, tips, names = nodes.parent(), nodes.tips(), nodes.tip_names()
    length, notes = nodes.length(tips, names), list[Note]()
    negative = np.flatnonzero(length < 0)
    if len(negative):
        problem = f"{len(negative):,} of {len(length) - 1:,} branch lengths are negative"
        if not clip_negative_lengths:
            shown = negative[:MAX_SHOWN]
            pairs = zip(length[shown].tolist(), label_nodes(shown, tips, names), strict=True)
            offenders = [f"{value!r} of {label}" for value, label in pairs]
            raise DataError(
                problem,
                code="tree-lengths-negative",
                file=file,
                offenders=offenders,
                remedy="Read them as 0: --clip-negative-lengths",
            )
        length[negative] = 0.0
        notes.append(Note("tree-lengths-negative", f"{problem} and were read as 0"))
    tree = NewickTree(parent, length, names, tips)
    if unrooted or tree.root_degree() > 2:
        notes.insert(0, _root_note(tree.root_degree(), unrooted, file))
    return NewickTree(parent, length, names, tips, tuple(notes))


def format_newick(tree: NewickTree) -> str:
    """Format ``tree`` as one line of Newick, without internal names; lengths read back exactly."""
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


def _root_note(degree: int, unrooted: bool, file: Path | str) -> Note:
    name = file.name if isinstance(file, Path) else file
    what = f"{name} is a {_UNROOTED}" if unrooted else f"the root of {name} has {degree} children, as in unrooted trees"
    return Note("tree-unrooted", f"{what}; UniFrac depends on the root (qiime phylogeny midpoint-root adds one)")
