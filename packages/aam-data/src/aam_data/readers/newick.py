"""Newick trees as arrays: no object per node, no recursion, no loop over levels.

Grammar: https://phylipweb.github.io/phylip/newicktree.html. Underscores stay underscores. Names in single quotes are
unquoted ('' stands for one quote), double quotes are ordinary letters. Comments in square brackets are skipped and do
not nest. Names of internal nodes, often bootstrap values, are skipped too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aam_data.errors import DataError
from aam_data.readers.qza import read_content
from aam_data.readers.source import byte_limit

_OPEN, _CLOSE, _COMMA, _COLON, _END = b"(),:;"
_STRUCTURAL = np.isin(np.arange(256), [_OPEN, _CLOSE, _COMMA, _COLON, _END])
_QUOTED_OR_COMMENT = re.compile(rb"'[^']*'|\[[^\]]*\]|['\[\]]")  # the last kind stands alone: unbalanced
_NEEDS_QUOTES = re.compile(r"[\s\ufeff'\[\](),:;]")
_MARKUP = re.compile(rb"\s*<(!doctype|html|\?xml|nexml|phyloxml)", re.IGNORECASE)
_COPY_AGAIN = "It may have been cut short: copy the file again"


@dataclass(frozen=True, eq=False)
class NewickTree:
    """A rooted tree in depth-first order: the root is node 0, and the descendants of a node follow it without a gap.

    Attributes:
        parent: int32 [n]; -1 for the root, smaller than the node's own number for all others.
        length: float64 [n] length of the branch above each node; 0 for the root, whose own length means nothing.
        tip_names: [n_tips] str objects.
        tips: int32 [n_tips] node numbers of the tips, ascending.
    """

    parent: np.ndarray
    length: np.ndarray
    tip_names: np.ndarray
    tips: np.ndarray

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


def read_newick(path: Path, max_input_gb: float = 8.0) -> NewickTree:
    """Read a newick file (plain or gzip) or a QIIME 2 artifact Phylogeny[Rooted].

    Raises:
        DataError: the file is not one newick tree, or it cannot carry UniFrac: branch lengths missing, negative or
            not finite, tips without a name or several with the same one.
    """
    return parse_newick(read_content(path, "--tree", ("Phylogeny[Rooted]",), byte_limit(max_input_gb)), path)


def parse_newick(content: bytes, file: Path | str = "newick") -> NewickTree:
    """The tree in ``content``; errors name ``file``. Raises as ``read_newick``."""
    pieces = _split(content, file)
    kind, before = pieces.kind, pieces.before
    is_open, is_close = kind == _OPEN, kind == _CLOSE
    is_tip = ((before == _OPEN) | (before == _COMMA)) & ~is_open
    node = np.cumsum(is_open | is_tip, dtype=np.int32) - 1  # the newest node at the end of each piece

    # Sorted by nesting, every '(' is followed by the commas and the ')' of its own brackets.
    event = np.flatnonzero(is_open | is_close | (kind == _COMMA))
    order = np.argsort(_narrow(pieces.depth[event] + is_close[event]), kind="stable")
    opens = is_open[event[order]]
    holder = np.empty(len(event), dtype=np.int32)  # the node whose brackets the event belongs to
    holder[order] = node[event[order]][opens][np.cumsum(opens) - 1]

    closes = is_close[event]
    parent = np.full(int(node[-1]) + 1, -1, dtype=np.int32)
    parent[node[event[~closes] + 1]] = holder[~closes]
    owner = node.copy()  # the node that each piece describes: a tip, or the brackets just closed
    owner[event[closes] + 1] = holder[closes]
    is_length = before == _COLON
    owner[is_length] = owner[np.flatnonzero(is_length) - 1]

    tips = node[is_tip]
    names = _tip_names(pieces, is_tip, file)
    is_length &= owner > 0  # the root's own length means nothing
    length = _lengths(pieces, is_length, owner, tips, names, file)
    return NewickTree(parent, length, names, tips)


def format_newick(tree: NewickTree) -> str:
    """``tree`` as one line of newick, without internal names; lengths survive reading back exactly."""
    names = dict(zip(tree.tips.tolist(), map(_quote, tree.tip_names), strict=True))
    last = tree.last_descendants().tolist()
    lengths = [f":{length!r}" for length in tree.length.tolist()]
    parts: list[str] = []
    open_nodes: list[int] = []
    for node in range(tree.n_nodes):
        open_nodes.append(node)
        if node not in names:
            parts.append("(")
            continue
        parts.append(names[node])
        while open_nodes and last[open_nodes[-1]] == node:
            closed = open_nodes.pop()
            parts.append(f"{'' if closed == node else ')'}{lengths[closed] if closed else ';'}")
        if open_nodes:
            parts.append(",")
    return "".join(parts)


def _quote(name: str) -> str:
    return "'" + name.replace("'", "''") + "'" if _NEEDS_QUOTES.search(name) else name


class _Pieces(NamedTuple):
    """The text cut at its structural bytes ``( ) , : ;``. Piece i ends before byte number i; arrays are [n].

    Attributes:
        text: the content, comments replaced by blanks.
        start, stop: where each piece is in the text.
        before, kind: the structural byte before and after each piece (before the first one as if it were a bracket).
        depth: brackets open after the piece's closing byte.
    """

    text: bytes
    start: np.ndarray
    stop: np.ndarray
    before: np.ndarray
    kind: np.ndarray
    depth: np.ndarray

    def read(self, which: np.ndarray) -> Iterator[bytes]:
        """The pieces where ``which`` is true, stripped; a bounded number of positions at a time."""
        numbers = np.flatnonzero(which)
        for at in range(0, len(numbers), 1 << 20):
            part = numbers[at : at + (1 << 20)]
            for start, stop in zip(self.start[part].tolist(), self.stop[part].tolist(), strict=True):
                yield self.text[start:stop].strip()


def _split(content: bytes, file: Path | str) -> _Pieces:
    """Cut the text into pieces and refuse what is not exactly one tree."""
    if not content.strip():
        raise DataError("file is empty", file=file)
    if _MARKUP.match(content):
        raise DataError("is a web page or XML, not a newick tree", file=file, remedy="Download the tree itself")
    text, structural = _scan(content.removeprefix(b"\xef\xbb\xbf"), file)
    stop = np.flatnonzero(structural)
    kind = np.frombuffer(text, dtype=np.uint8)[stop]
    ends = np.flatnonzero(kind == _END)
    if len(ends) == 0:
        raise DataError("not a newick tree: no semicolon ends it", file=file, remedy=_COPY_AGAIN)
    stop, kind = stop[: ends[0] + 1], kind[: ends[0] + 1]
    if text[stop[-1] + 1 :].strip():
        raise DataError("text after the semicolon that ends the tree", file=file, remedy="Give a file with one tree")

    depth = np.cumsum((kind == _OPEN).astype(np.int32) - (kind == _CLOSE), dtype=np.int32)
    if depth[-1] != 0 or depth.min() < 0:
        counts = f"{np.count_nonzero(kind == _OPEN):,} '(' and {np.count_nonzero(kind == _CLOSE):,} ')'"
        raise DataError(f"unbalanced brackets: {counts}", file=file, remedy=_COPY_AGAIN)
    before = np.concatenate([[_OPEN], kind[:-1]]).astype(np.uint8)
    pieces = _Pieces(text, np.concatenate([[0], stop[:-1] + 1]), stop, before, kind, depth)
    wrong = (kind == _COMMA) & (depth == 0)  # more than one root
    wrong |= (before == _CLOSE) & (kind == _OPEN)
    wrong |= (before == _COLON) & ((kind == _OPEN) | (kind == _COLON))
    if not wrong.any():
        before_bracket = np.flatnonzero((kind == _OPEN) & (pieces.start < stop))
        filled = [bool(text[pieces.start[i] : stop[i]].strip()) for i in before_bracket]
        wrong[before_bracket] = filled
    if wrong.any():
        at = int(stop[np.argmax(wrong)])
        around = text[max(0, at - 20) : at + 20].decode("utf-8", errors="replace")
        raise DataError("not newick", file=file, place=f"byte {at + 1:,}, near {around!r}")
    return pieces


def _scan(content: bytes, file: Path | str) -> tuple[bytes, np.ndarray]:
    """The text with comments blanked, and which of its bytes are structural, bool [bytes]."""
    structural = _STRUCTURAL[np.frombuffer(content, dtype=np.uint8)]
    if b"'" not in content and b"[" not in content:
        return content, structural
    text = bytearray(content)
    for match in _QUOTED_OR_COMMENT.finditer(content):
        start, stop = match.span()
        if stop - start == 1:
            place = f"byte {start + 1:,}"
            raise DataError(f"unbalanced {match.group().decode()}", file=file, place=place, remedy=_COPY_AGAIN)
        structural[start:stop] = False
        if content[start] == ord("["):
            text[start:stop] = b" " * (stop - start)
    return bytes(text), structural


def _narrow(depth: np.ndarray) -> np.ndarray:
    """Depths as uint16 where they fit: numpy sorts those by radix, 4 x faster on a tree of 217,407 tips."""
    return depth.astype(np.uint16) if depth.max(initial=0) < 2**16 else depth


def _tip_names(pieces: _Pieces, is_tip: np.ndarray, file: Path | str) -> np.ndarray:
    """Names of the tips as str objects, unquoted; refused unless each tip has its own."""
    quoted = list(pieces.read(is_tip))
    try:
        names = [_unquote(name.decode()) for name in quoted]
    except UnicodeDecodeError as error:
        raise DataError("a tip name is not UTF-8", file=file, offenders=[error.object]) from error
    unnamed = [f"tip {number + 1:,}" for number, name in enumerate(names) if not name]
    if unnamed:
        raise DataError(f"{len(unnamed):,} tips have no name", file=file, offenders=unnamed)
    if len(set(names)) < len(names):
        repeated = [name for name, count in Counter(names).items() if count > 1]
        raise DataError(f"{len(repeated):,} tip names are used more than once", file=file, offenders=repeated)
    return np.array(names, dtype=object)


def _unquote(name: str) -> str:
    return name[1:-1].replace("''", "'") if name.startswith("'") else name


def _lengths(
    pieces: _Pieces,
    is_length: np.ndarray,
    owner: np.ndarray,
    tips: np.ndarray,
    names: np.ndarray,
    file: Path | str,
) -> np.ndarray:
    """Branch lengths, float64 [n], 0 for the root; refused unless every other node has one, finite and >= 0."""
    nodes = owner[is_length]
    values = np.fromiter(map(_number, pieces.read(is_length)), np.float64, len(nodes))
    refused = ~(np.isfinite(values) & (values >= 0))
    if refused.any():
        is_length[is_length] = refused
        texts = [text.decode(errors="replace") for text in pieces.read(is_length)]
        offenders = [
            f"{text!r} of {label}" for text, label in zip(texts, _labels(nodes[refused], tips, names), strict=True)
        ]
        problem = f"{len(offenders):,} branch lengths are negative, not finite or not numbers"
        raise DataError(problem, file=file, offenders=offenders)
    length = np.full(int(owner.max()) + 1, np.nan)
    length[0] = 0.0
    length[nodes] = values
    missing = np.flatnonzero(np.isnan(length))
    if len(missing):
        count = "no branch has" if len(missing) == len(length) - 1 else f"{len(missing):,} branches do not have"
        remedy = "UniFrac needs every branch length but the root's: give a tree with branch lengths"
        raise DataError(f"{count} a length", file=file, offenders=_labels(missing, tips, names), remedy=remedy)
    return length


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan  # refused by the caller, with all others that are not finite


def _labels(nodes: np.ndarray, tips: np.ndarray, names: np.ndarray) -> list[str]:
    """Words for nodes: a tip's name, or the clade that begins with a tip."""
    first = np.searchsorted(tips, nodes)
    is_tip = tips[first] == nodes
    return [name if tip else f"the clade of {name}" for name, tip in zip(names[first], is_tip, strict=True)]
