"""Parser of Newick tokens into nodes, block by block: parents, names of tips, branch lengths."""

from __future__ import annotations

import math
import re
from functools import lru_cache

import numpy as np

from aam_data.errors import MAX_SHOWN, DataError
from aam_data.readers.newick.decimals import parse_decimals
from aam_data.readers.newick.tip_names import TipNames
from aam_data.readers.newick.tokens import CLOSE, COLON, COMMA, OPEN, NewickText, Pieces

_MAX_NODES = np.iinfo(np.int32).max
_QUOTED = re.compile(rb"'(?:[^']|'')*'")
_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_BLANK = np.isin(np.arange(256), list(b" \t\r\n\v\f"))
_QUOTE = ord("'")


class NewickNodes:
    """Nodes of one tree, numbered in depth-first order; call ``add`` for all pieces first, then the other methods."""

    def __init__(self, source: NewickText) -> None:
        """Allocate the branch lengths.

        Raises:
            DataError: more nodes than int32 can number.
        """
        self._source = source
        self._codes = np.frombuffer(source.text, dtype=np.uint8)
        max_nodes = source.text.count(b"(") + source.text.count(b",") + 1  # fewer if quotes contain such bytes
        if max_nodes > _MAX_NODES:
            raise DataError(f"more than {_MAX_NODES:,} nodes", code="tree-too-large", file=source.file)
        self._length = np.full(max_nodes, np.nan)
        self._parents = [np.array([-1], dtype=np.int32)]
        self._tips: list[np.ndarray] = []
        self._name_start: list[np.ndarray] = []
        self._name_stop: list[np.ndarray] = []
        self._misquoted: list[str] = []
        self._invalid: list[tuple[int, str]] = []
        self._n_invalid = 0
        # State between blocks: the newest node, the nodes with open brackets by depth, and for the last piece the node
        # that it describes and the node whose brackets its closing byte belongs to.
        self._newest = -1
        self._open = np.empty(0, dtype=np.int32)
        self._owner = self._holder = np.zeros(1, dtype=np.int32)

    def add(self, pieces: Pieces) -> None:
        """Add the next pieces of the text."""
        kind, before = pieces.kind, pieces.before
        is_open = kind == OPEN
        is_tip = ((before == OPEN) | (before == COMMA)) & ~is_open
        node = self._newest + np.cumsum(is_open | is_tip, dtype=np.int32)  # the newest at the end of each piece
        holder = self._holders(pieces, node)
        self._parents.append(holder[is_open | (kind == COMMA)])  # each of these bytes starts the next node

        owner = node.copy()  # the node that each piece describes: a tip, or the brackets just closed
        closed = before == CLOSE
        owner[closed] = np.concatenate([self._holder, holder[:-1]])[closed]
        is_length = before == COLON
        owner[is_length] = np.concatenate([self._owner, owner[:-1]])[is_length]
        self._newest, self._owner, self._holder = int(node[-1]), owner[-1:], holder[-1:]

        self._tips.append(node[is_tip])
        self._add_names(pieces.start[is_tip], pieces.stop[is_tip])
        is_length &= owner > 0  # the root's own length means nothing
        self._add_lengths(pieces.start[is_length], pieces.stop[is_length], owner[is_length])

    def _holders(self, pieces: Pieces, node: np.ndarray) -> np.ndarray:
        """Return the node whose brackets each '(', ',' and ')' belongs to, int32 [k]; other pieces have 0.

        Sorted by nesting, every '(' is followed by the commas and the ')' of its own brackets. Brackets that earlier
        blocks left open are put first, as far out as this block closes them.
        """
        is_open, is_close = pieces.kind == OPEN, pieces.kind == CLOSE
        event = np.flatnonzero(is_open | is_close | (pieces.kind == COMMA))
        if len(event) == 0:
            return np.zeros(len(node), dtype=np.int32)
        level = pieces.depth[event] + is_close[event]  # from 1, the root's brackets
        lowest = min(int(level.min()), len(self._open) + 1)
        earlier = self._open[lowest - 1 :]
        level = np.concatenate([np.arange(lowest, lowest + len(earlier)), level])
        nodes = np.concatenate([earlier, node[event]])
        opens = np.concatenate([np.ones(len(earlier), dtype=bool), is_open[event]])

        order = np.argsort(_narrow(level - lowest), kind="stable")
        holder = np.empty(len(order), dtype=np.int32)
        holder[order] = nodes[order][opens[order]][np.cumsum(opens[order]) - 1]

        depth = int(pieces.depth[-1])
        self._open = np.concatenate([self._open[: lowest - 1], np.empty(max(depth - lowest + 1, 0), dtype=np.int32)])
        self._open = self._open[:depth]
        stays = opens & (level <= depth)
        self._open[level[stays] - 1] = nodes[stays]  # the last of several at one depth wins

        piece_holder = np.zeros(len(node), dtype=np.int32)
        piece_holder[event] = holder[len(earlier) :]
        return piece_holder

    def _add_names(self, start: np.ndarray, stop: np.ndarray) -> None:
        """Record the positions of names, without the blanks and quotes around them."""
        filled = np.flatnonzero(start < stop)
        unclean = np.zeros(len(start), dtype=bool)
        unclean[filled] = _BLANK[self._codes[start[filled]]] | _BLANK[self._codes[stop[filled] - 1]]
        if self._source.has_quotes and len(start):
            quotes = start[0] + np.flatnonzero(self._codes[start[0] : stop[-1]] == _QUOTE)
            near = np.searchsorted(start, quotes, side="right") - 1
            unclean[near[quotes < stop[near]]] = True
        for tip in np.flatnonzero(unclean).tolist():
            start[tip], stop[tip] = self._clean(int(start[tip]), int(stop[tip]))
        self._name_start.append(start)
        self._name_stop.append(stop)

    def _clean(self, start: int, stop: int) -> tuple[int, int]:
        text = self._source.text
        label = bytes(text[start:stop])
        start += len(label) - len(label.lstrip())
        label = label.strip()
        if b"'" in label:
            if not _QUOTED.fullmatch(label):
                self._misquoted.append(label.decode(errors="replace"))
            label = label[1:-1].replace(b"''", b"'")
            start += 1
            assert isinstance(text, bytearray)
            text[start : start + len(label)] = label
        return start, start + len(label)

    def _add_lengths(self, start: np.ndarray, stop: np.ndarray, nodes: np.ndarray) -> None:
        values = parse_decimals(self._codes, start, stop)
        others = np.flatnonzero(np.isnan(values))
        pieces = map(slice, start[others].tolist(), stop[others].tolist())
        values[others] = list(map(_number, map(bytes, map(self._source.text.__getitem__, pieces))))
        invalid = np.flatnonzero(~np.isfinite(values))
        self._n_invalid += len(invalid)
        for i in invalid[: MAX_SHOWN - len(self._invalid)].tolist():
            text = bytes(self._source.text[start[i] : stop[i]]).strip()
            self._invalid.append((int(nodes[i]), text.decode(errors="replace")))
        self._length[nodes] = values

    def parent(self) -> np.ndarray:
        """Return the parent of each node, int32 [n], -1 for the root."""
        return np.concatenate(self._parents)

    def tips(self) -> np.ndarray:
        """Return the node numbers of the tips, int32 [n_tips], ascending."""
        return np.concatenate(self._tips)

    def tip_names(self) -> TipNames:
        """Return the names of the tips.

        Raises:
            DataError: missing or duplicate names, misplaced quotes, not UTF-8.
        """
        names = TipNames(self._source.text, np.concatenate(self._name_start), np.concatenate(self._name_stop))
        file = self._source.file
        if self._misquoted:
            problem = f"{len(self._misquoted):,} tip names have quotes inside"
            remedy = "Quote whole names, and write '' for a quote that belongs to the name"
            raise DataError(problem, code="tree-quotes", file=file, offenders=self._misquoted, remedy=remedy)
        if undecodable := names.not_utf8():
            raise DataError(
                f"{len(undecodable):,} tip names are not UTF-8", code="file-not-utf8", file=file, offenders=undecodable
            )
        if control := names.with_control_characters():
            raise DataError(
                f"{len(control):,} tip names contain control characters",
                code="ids-control-characters",
                file=file,
                offenders=control,
            )
        unnamed = np.flatnonzero(names.start == names.stop)
        if len(unnamed):
            offenders = [f"tip {number + 1:,}" for number in unnamed]
            raise DataError(
                f"{len(unnamed):,} tips have no name", code="tree-unnamed-tips", file=file, offenders=offenders
            )
        if repeated := names.repeated():
            raise DataError(
                f"{len(repeated):,} tip names are used more than once",
                code="ids-duplicate",
                file=file,
                offenders=repeated,
            )
        return names

    def length(self, tips: np.ndarray, names: TipNames) -> np.ndarray:
        """Return the branch lengths, float64 [n], 0 for the root; they may be negative.

        Raises:
            DataError: branches without a length, or with one that is not a finite number.
        """
        n_nodes = sum(map(len, self._parents))
        length = self._length[:n_nodes]
        length[0] = 0.0
        if self._invalid:
            labels = label_nodes(np.array([node for node, _ in self._invalid]), tips, names)
            offenders = [f"{text!r} of {label}" for (_, text), label in zip(self._invalid, labels, strict=True)]
            problem = f"{self._n_invalid:,} of {n_nodes - 1:,} branch lengths are not finite numbers"
            raise DataError(problem, code="tree-lengths-not-finite", file=self._source.file, offenders=offenders)
        missing = np.flatnonzero(np.isnan(length))
        if len(missing):
            none = len(missing) == n_nodes - 1
            count = "no branch has" if none else f"{len(missing):,} of {n_nodes - 1:,} branches do not have"
            offenders = label_nodes(missing[:MAX_SHOWN], tips, names)
            remedy = "UniFrac needs every branch length except that of the root: pass a tree with branch lengths"
            raise DataError(
                f"{count} a length", code="tree-no-lengths", file=self._source.file, offenders=offenders, remedy=remedy
            )
        return length


def label_nodes(nodes: np.ndarray, tips: np.ndarray, names: TipNames) -> list[str]:
    """Describe nodes: the name of a tip, or the clade that starts with a tip."""
    first = np.searchsorted(tips, nodes)
    is_tip = tips[first] == nodes
    labels = [names[tip] for tip in first.tolist()]
    return [label if tip else f"the clade of {label}" for label, tip in zip(labels, is_tip.tolist(), strict=True)]


@lru_cache(1 << 12)  # lengths of other forms are often the same, such as the shortest that a program writes: 1e-06
def _number(text: bytes) -> float:
    """Parse a branch length; NaN if it is no number."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _narrow(level: np.ndarray) -> np.ndarray:
    """Convert levels to uint16 if they fit: numpy radix-sorts those, 4 x faster on a tree of 217,407 tips."""
    return level.astype(np.uint16) if level.max() < 2**16 else level
