"""Where the reads of a table start on the gene: primers left on, several starts, both strands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

from aam_data.notes import Note
from aam_data.sequences import Sequences
from aam_data.study.frame.gene import GenePosition, gene_positions, position_in_words, primers_of
from aam_data.study.frame.reads import Reads

_T = TypeVar("_T", bound=Hashable)
_COMPARED = 1000  # ASVs with the most reads
_NEAR = 3  # bases: so few are insertions and deletions, not another start
_MIN_SHARE = 0.05  # of the reads whose place is known, that a second start or strand has
_MIN_WITH_PRIMER = 0.25  # share of the reads compared
_MIN_KNOWN = 0.25  # share of the reads compared that are of the gene
_REMEDY = "cut it off before denoising (cutadapt); a model finds the offset by itself"


def frame_report(sequences: Sequences, reads: np.ndarray) -> tuple[str, list[Note]]:
    """Describe where the reads of a table start, and what is wrong with that.

    Primers are those of `PRIMERS`; strands and starts are found on the 16S rRNA gene, for reads that are like it.

    Args:
        sequences: of A features.
        reads: [A] reads or summed relative abundances.

    Returns:
        The fact about the table, and warnings about primers, starts and strands.
    """
    rows = np.argsort(-reads, kind="stable")[:_COMPARED]
    some = Reads(sequences.codes[rows], sequences.lengths[rows], reads[rows] / reads[rows].sum())
    primers = _shares([found and found[0] for found in primers_of(some)], some.weights)
    notes = [_primer_note(name, share) for name, share in primers.items() if name and share >= _MIN_WITH_PRIMER]
    positions = _shares(gene_positions(some), some.weights)
    unknown = positions.pop(None, 0.0)
    if unknown > 1 - _MIN_KNOWN:
        return "not found on the 16S rRNA gene", notes
    groups = _grouped({position: share for position, share in positions.items() if position is not None})
    length = int(np.median(some.lengths))
    notes += _mixture_notes(groups, length)
    return f"{position_in_words(next(iter(groups)), length)}{_share_in_words(groups)}", notes


def _shares(values: Sequence[_T], weights: np.ndarray) -> dict[_T, float]:
    """Sum the weights by value, the greatest first."""
    shares: Counter[_T] = Counter()
    for value, weight in zip(values, weights.tolist(), strict=True):
        shares[value] += weight
    return dict(shares.most_common())


def _grouped(shares: dict[GenePosition, float]) -> dict[GenePosition, float]:
    """Add starts to a more frequent one near by, and return shares of the sum, the greatest first."""
    groups: dict[GenePosition, float] = {}
    for position, share in shares.items():
        near = (one for one in groups if one.turned == position.turned and abs(one.start - position.start) <= _NEAR)
        group = next(near, position)
        groups[group] = groups.get(group, 0.0) + share
    total = sum(groups.values())
    return {group: groups[group] / total for group in sorted(groups, key=lambda one: -groups[one])}


def _share_in_words(groups: dict[GenePosition, float]) -> str:
    share = next(iter(groups.values()))
    return "" if share >= 1 - _MIN_SHARE else f" for {share:.0%} of the reads"


def _primer_note(name: str, share: float) -> Note:
    what = f"{share:.0%} of the reads start with the primer {name}"
    return Note("sequences-primer-left-on", f"{what}: {_REMEDY}", "warning")


def _mixture_notes(groups: dict[GenePosition, float], length: int) -> list[Note]:
    notes: list[Note] = []
    common = {group: share for group, share in groups.items() if share >= _MIN_SHARE}
    turned = sum(share for group, share in groups.items() if group.turned)
    if _MIN_SHARE <= turned <= 1 - _MIN_SHARE:
        what = f"{turned:.0%} of the reads are of the reverse strand and {1 - turned:.0%} of the forward strand"
        notes.append(Note("sequences-both-strands", f"{what}: bring them to one before denoising", "warning"))
    for strand in (False, True):
        starts = [(group, share) for group, share in common.items() if group.turned == strand]
        if len(starts) > 1:
            listed = "; ".join(f"{share:.0%} {position_in_words(group, length)}" for group, share in starts[:5])
            what = f"the reads start at {len(starts)} positions of the gene ({listed})"
            more = "one organism counts as several ASVs, and a model reads them as different ones"
            notes.append(Note("sequences-several-starts", f"{what}: {more}", "warning"))
    return notes
