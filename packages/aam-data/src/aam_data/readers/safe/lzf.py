"""Decompression of LZF, h5py's own filter, for data that the library must not read.

Format: liblzf (lzf_d.c). A control byte below 32 announces that many bytes and one more as they are; any other byte
has a length and, with the next bytes, how far back to copy from.
"""

from __future__ import annotations

_LITERAL = 32
_LONG = 7  # a length that continues in the next byte


def decompress_lzf(content: bytes, size: int) -> bytes | None:
    """Unpack ``content`` to exactly ``size`` bytes; return None if it is damaged."""
    result = bytearray()
    position, end = 0, len(content)
    while position < end and len(result) <= size:
        control = content[position]
        position += 1
        if control < _LITERAL:
            if position + control >= end:
                return None
            result += content[position : position + control + 1]
            position += control + 1
            continue
        length = control >> 5
        n_more = 2 if length == _LONG else 1
        if position + n_more > end:
            return None
        if length == _LONG:
            length += content[position]
        position += n_more
        start = len(result) - ((control & 0x1F) << 8 | content[position - 1]) - 1
        if start < 0:
            return None
        piece = result[start : start + length + 2]
        while len(piece) < length + 2:  # it overlaps what it writes
            piece += piece[: length + 2 - len(piece)]
        result += piece
    return bytes(result) if len(result) == size else None
