"""Sequences of a table brought into the frame of a model: moved, turned and cut, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam_data.errors import DataError
from aam_data.notes import Note
from aam_data.sequences import build_sequences
from aam_data.study.frame.fit import fit_frame
from aam_data.study.frame.frame import NATIVE, Frame, Placement
from aam_data.study.frame.reads import Reads, overlaps
from aam_data.study.frame.search import Found, find_placements
from aam_data.study.orientation import reverse_complement

ABSENT = b"-"  # a position of the frame at whose side of a read there is no base
_MIN_OF_REGION = 0.5  # share of reads that must fit, of the share of the training reads that did
_MIN_EXPECTED = 0.9  # the same share, below which a warning says so
_MIN_OVERLAP = 0.5  # of the bases of a read, or of the positions of the frame if it has fewer, that lie in it
_SHOWN_PLACEMENTS = 4
_MIN_SHOWN = 0.01  # share of reads of a placement


@dataclass(frozen=True, eq=False)
class Brought:
    """Sequences in a frame.

    Attributes:
        sequences: upper-case letters of each sequence, after an ``ABSENT`` for each position in front of its first
            base; a sequence without a base within the frame has no letter.
        notes: sentences about what was moved, turned and cut.
    """

    sequences: list[bytes]
    notes: tuple[Note, ...] = ()


def bring_into_frame(
    sequences: Sequence[bytes], reads: np.ndarray, frame: Frame, file: Path | str | None = None
) -> Brought:
    """Bring the sequences of a table into the frame of a model.

    Each sequence is moved by the offset of its placement, see `find_placements`; those that fit nowhere, by the offset
    of most reads. Missing positions in front are marked, surplus bases in front and behind the longest training read
    are cut. Placements that training reads had among themselves are left alone.

    Args:
        sequences: upper-case letters of A sequences.
        reads: [A] reads or summed relative abundances.
        frame: of the model.
        file: the file of the sequences, for messages.

    Raises:
        DataError: most reads are of another region or gene.
    """
    encoded = Reads.encode(sequences, reads)
    found = find_placements(encoded, frame)
    if frame.is_informative:
        if shortfall := _shortfall(encoded, found, frame):
            raise _other_region(sequences, reads, frame, shortfall, file)
    elif found.fitting < _MIN_EXPECTED:
        return Brought(list(sequences))  # nothing in common with the training reads, and nothing was expected
    main = found.placements[0] if found.placements else NATIVE
    placements = [_move(placement, main, frame) for placement in (*found.placements, main)]  # the last for the others
    moved = [_placed(s, placements[i], frame.length) for s, i in zip(sequences, found.placement_of, strict=True)]
    notes = [_note(encoded, sequences, moved, found, frame)] if moved != list(sequences) else []
    if frame.is_informative and found.fitting < _MIN_EXPECTED * frame.fits:
        what = f"{1 - found.fitting:.1%} of the reads do not look like those of the model ({frame.describe()})"
        notes.append(Note("sequences-fit-partly", f"{what}: another gene, or organisms unlike its own", "warning"))
    return Brought(moved, tuple(notes))


def _shortfall(reads: Reads, found: Found, frame: Frame) -> str | None:
    """Describe how few reads, or how few of their bases, lie in the frame; None if they are enough."""
    if found.fitting < _MIN_OF_REGION * frame.fits:
        share = f"only {found.fitting:.1%}" if found.fitting >= 0.0005 else "none"
        return f"{share} of the reads of this table"
    n_positions, length = len(frame.profile), int(np.median(reads.lengths))
    inside = int(overlaps(np.array([length]), n_positions, found.placements[0].offset)[0])
    return f"only {inside:,} bases of most reads" if inside < _MIN_OVERLAP * min(n_positions, length) else None


def _move(placement: Placement, main: Placement, frame: Frame) -> Placement:
    """Return how reads are moved: as most reads where training reads lay like this, relative to most of theirs."""
    relative = Placement(placement.turned != main.turned, placement.offset - main.offset)
    return main if relative in frame.others else placement


def _placed(sequence: bytes, placement: Placement, length: int) -> bytes:
    """Return a sequence at its place; no letter at all if none of its bases is within ``length``."""
    turned = reverse_complement(sequence) if placement.turned else sequence
    placed = (ABSENT * max(placement.offset, 0) + turned[max(-placement.offset, 0) :])[:length]
    return placed if placed.strip(ABSENT) else b""


def _note(reads: Reads, sequences: Sequence[bytes], moved: list[bytes], found: Found, frame: Frame) -> Note:
    """Describe what was moved, turned and cut, in shares of reads."""
    parts: list[str] = []
    weights = reads.weights
    for placement, share in zip(found.placements[:_SHOWN_PLACEMENTS], found.shares, strict=False):
        move = _move(placement, found.placements[0], frame)
        if move == placement != NATIVE and (share >= _MIN_SHOWN or not parts):
            parts.append(f"{share:.1%} of the reads {_in_words(placement)}")
    is_longer = reads.lengths > frame.length
    if not parts and is_longer.any():
        parts.append(f"{weights[is_longer].sum():.1%} of the reads are longer than the model's {frame.length:,} bases")
    changed = sum(before != after for before, after in zip(sequences, moved, strict=True))
    text = f"{'; '.join(parts) or 'some reads lie elsewhere'}: {changed:,} of {len(moved):,} sequences were brought "
    text += f"into the frame of the model ({frame.describe()})"
    if lost := sum(not sequence for sequence in moved):
        share = weights[[not sequence for sequence in moved]].sum()
        text += f"; {lost:,} with {share:.2%} of the reads have no base in it and were dropped"
    return Note("sequences-brought-into-frame", f"{text}. --frame ignore leaves them as they are")


def _in_words(placement: Placement) -> str:
    n = abs(placement.offset)
    bases = f"{n:,} base{'' if n == 1 else 's'}"
    where = {0: "", 1: f"start {bases} later", -1: f"start {bases} earlier"}[int(np.sign(placement.offset))]
    strand = "are of the other strand" if placement.turned else ""
    return " and ".join(part for part in (strand, where) if part)


def _other_region(
    sequences: Sequence[bytes], reads: np.ndarray, frame: Frame, shortfall: str, file: Path | str | None
) -> DataError:
    own = fit_frame(build_sequences(list(sequences)), reads, len(frame.profile))
    return DataError(
        f"another region or primer: this model reads {frame.describe()}, and {shortfall} lie there on either strand; "
        f"they are {own.describe()}",
        code="sequences-other-region",
        file=file,
        remedy="Use a model of this region, or pass --frame ignore to go on with the sequences as they are",
    )
