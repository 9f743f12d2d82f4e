"""Tokenizer of Newick text: pieces between structural bytes ``( ) , : ;``, a block of bytes at a time.

It rejects anything but Newick: empty files, other formats, unclosed quotes and brackets, bytes in a wrong order.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aam_data.errors import DataError

OPEN, CLOSE, COMMA, COLON, END = b"(),:;"
_BLOCK = 1 << 20  # bytes split at once; four times as many save 5 % of the time and take 36 MB more
_STRUCTURAL = np.isin(np.arange(256), [OPEN, CLOSE, COMMA, COLON, END])
_QUOTED_OR_COMMENT = re.compile(rb"'[^']*'|\[[^\]]*\]|['\[\]]")  # the last alternative matches unbalanced ones
_NOT_BLANK = re.compile(rb"\S")
_BOM = b"\xef\xbb\xbf"
_NEXUS = re.compile(rb"\s*#nexus", re.IGNORECASE)
_SHORT = 1000  # bytes of a text that is no tree: brackets without a name, or a name without brackets
_NAMELESS = re.compile(rb"[\s(),;]*")
_BARE_NAME = re.compile(rb"('[^']*'|[^\s(),:;\[\]]+)(:[-+.\deE]*)?\s*;?")
_COPY_AGAIN = "It may have been cut short: copy the file again"


class Pieces(NamedTuple):
    """Consecutive pieces of the text. Piece i ends before a structural byte; arrays are [k].

    Attributes:
        start, stop: int64, position of each piece in the text.
        before, kind: uint8, the structural byte before and after each piece (an opening bracket before the first).
        depth: int64, number of open brackets after the closing byte of the piece.
    """

    start: np.ndarray
    stop: np.ndarray
    before: np.ndarray
    kind: np.ndarray
    depth: np.ndarray


def reject_nameless(content: bytes, file: Path | str) -> None:
    """Raise DataError for a file of brackets without a name, or of a name without brackets: a tree of one tip."""
    text = content[: _SHORT + 1].removeprefix(_BOM).strip()
    if not text or len(content) > _SHORT:
        return
    if _NAMELESS.fullmatch(text):
        problem = "an empty tree: it has no named tip"
        raise DataError(problem, code="tree-empty", file=file, remedy="Pass the tree of the table's features")
    if _BARE_NAME.fullmatch(text):
        problem = f"a single name ({text[:40].decode(errors='replace')}), not a newick tree"
        raise DataError(problem, code="tree-format-unknown", file=file, remedy="Pass the tree itself: (a:0.1,b:0.2);")


class NewickText:
    """Text of one tree.

    Attributes:
        text: the content; if it has quotes or comments, a copy in which comments are blanks.
        has_quotes: whether it contains a single quote.
        file: names the text in messages.
    """

    def __init__(self, content: bytes, file: Path | str) -> None:
        """Check the content for quotes and comments.

        Raises:
            DataError: no text, another format, or quotes and comments that are not closed.
        """
        if not _NOT_BLANK.search(content):
            raise DataError("file is empty", code="file-empty", file=file)
        if _NEXUS.match(content):
            raise DataError(
                "is a NEXUS file, not a newick tree",
                code="tree-format-unknown",
                file=file,
                remedy="Export the tree as newick",
            )
        if b"\0" in content:
            raise DataError(
                "not UTF-8 text, so not a newick tree",
                code="file-not-utf8",
                file=file,
                remedy="Pass the tree in newick format",
            )
        self.file, self.has_quotes = file, b"'" in content
        self.text: bytes | bytearray = content
        self._quoted = np.empty((0, 2), dtype=np.int64)
        if self.has_quotes or b"[" in content or b"]" in content:
            self._mark_quotes(content)

    def _mark_quotes(self, content: bytes) -> None:
        """Record the positions of quotes and comments, and replace comments by blanks."""
        self.text = bytearray(content)
        bounds = array("q")
        for match in _QUOTED_OR_COMMENT.finditer(content):
            start, stop = match.span()
            if stop - start == 1:
                problem, place = f"unbalanced {match.group().decode()}", f"byte {start + 1:,}"
                raise DataError(problem, code="tree-incomplete", file=self.file, place=place, remedy=_COPY_AGAIN)
            if content[start] == ord("["):
                self.text[start:stop] = b" " * (stop - start)
            bounds.extend((start, stop))
        self._quoted = np.frombuffer(bounds, dtype=np.int64).reshape(-1, 2)

    def pieces(self) -> Iterator[Pieces]:
        """Iterate over all pieces up to the semicolon, in order, a bounded number at a time.

        Raises:
            DataError: the text is not exactly one tree.
        """
        codes = np.frombuffer(self.text, dtype=np.uint8)
        depth, last, begin = 0, OPEN, len(_BOM) if self.text.startswith(_BOM) else 0
        for at in range(0, len(codes), _BLOCK):
            stop = self._unquoted(at + np.flatnonzero(_STRUCTURAL[codes[at : at + _BLOCK]]))
            kind = codes[stop]
            ends = np.flatnonzero(kind == END)
            if len(ends):
                stop, kind = stop[: ends[0] + 1], kind[: ends[0] + 1]
            if len(stop) == 0:
                continue
            start = np.concatenate([[begin], stop[:-1] + 1])
            before = np.concatenate([[last], kind[:-1]]).astype(np.uint8)
            pieces = Pieces(start, stop, before, kind, depth + np.cumsum((kind == OPEN) - 1 * (kind == CLOSE)))
            self._check_order(pieces)
            yield pieces
            depth, last, begin = int(pieces.depth[-1]), int(kind[-1]), int(stop[-1]) + 1
            if len(ends):
                break
        if last != END:
            raise DataError(
                "not a newick tree: no semicolon at the end", code="tree-incomplete", file=self.file, remedy=_COPY_AGAIN
            )
        if depth:
            raise DataError(
                f"unbalanced brackets: {depth:,} are not closed",
                code="tree-incomplete",
                file=self.file,
                remedy=_COPY_AGAIN,
            )
        if _NOT_BLANK.search(self.text, begin):
            problem = "text after the semicolon that ends the tree"
            raise DataError(problem, code="tree-several", file=self.file, remedy="Pass a file with one tree")

    def _unquoted(self, positions: np.ndarray) -> np.ndarray:
        """Remove positions in quotes or comments."""
        if len(self._quoted) == 0:
            return positions
        nearest = np.searchsorted(self._quoted[:, 0], positions, side="right") - 1
        return positions[(nearest < 0) | (positions >= self._quoted[nearest, 1])]

    def _check_order(self, pieces: Pieces) -> None:
        before, kind, depth = pieces.before, pieces.kind, pieces.depth
        if depth.min() < 0:
            place = f"byte {pieces.stop[np.argmax(depth < 0)] + 1:,}"
            problem = "unbalanced brackets: ')' without '('"
            raise DataError(problem, code="tree-incomplete", file=self.file, place=place, remedy=_COPY_AGAIN)
        wrong = (kind == COMMA) & (depth == 0)  # more than one root
        wrong |= (before == CLOSE) & (kind == OPEN)
        wrong |= (before == COLON) & ((kind == OPEN) | (kind == COLON))
        filled = np.flatnonzero((kind == OPEN) & (pieces.start < pieces.stop))
        for i in filled.tolist():
            wrong[i] |= bool(self.text[pieces.start[i] : pieces.stop[i]].strip())
        if wrong.any():
            at = int(pieces.stop[np.argmax(wrong)])
            around = self.text[max(0, at - 20) : at + 20].decode("utf-8", errors="replace")
            raise DataError(
                "not newick", code="tree-format-unknown", file=self.file, place=f"byte {at + 1:,}, near {around!r}"
            )
