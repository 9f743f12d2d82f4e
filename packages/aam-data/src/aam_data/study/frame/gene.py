"""The 16S rRNA gene of Escherichia coli, by whose positions primers and regions are named.

Positions count from 1, as in the names of primers (Brosius et al. 1978, doi:10.1073/pnas.75.10.4801): 515F starts at
base 515. Hypervariable regions: Chakravorty et al. 2007, doi:10.1016/j.mimet.2007.02.005.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from aam_data import alphabet
from aam_data.study.frame.reads import Reads, log_odds, scores_of_offsets

GENE = (
    "AAATTGAAGAGTTTGATCATGGCTCAGATTGAACGCTGGCGGCAGGCCTAACACATGCAAGTCGAACGGTAACAGGAAGAAGCTTGCTTCTTTGCTGACG"
    "AGTGGCGGACGGGTGAGTAATGTCTGGGAAACTGCCTGATGGAGGGGGATAACTACTGGAAACGGTAGCTAATACCGCATAACGTCGCAAGACCAAAGAG"
    "GGGGACCTTCGGGCCTCTTGCCATCGGATGTGCCCAGATGGGATTAGCTAGTAGGTGGGGTAACGGCTCACCTAGGCGACGATCCCTAGCTGGTCTGAGA"
    "GGATGACCAGCCACACTGGAACTGAGACACGGTCCAGACTCCTACGGGAGGCAGCAGTGGGGAATATTGCACAATGGGCGCAAGCCTGATGCAGCCATGC"
    "CGCGTGTATGAAGAAGGCCTTCGGGTTGTAAAGTACTTTCAGCGGGGAGGAAGGGAGTAAAGTTAATACCTTTGCTCATTGACGTTACCCGCAGAAGAAG"
    "CACCGGCTAACTCCGTGCCAGCAGCCGCGGTAATACGGAGGGTGCAAGCGTTAATCGGAATTACTGGGCGTAAAGCGCACGCAGGCGGTTTGTTAAGTCA"
    "GATGTGAAATCCCCGGGCTCAACCTGGGAACTGCATCTGATACTGGCAAGCTTGAGTCTCGTAGAGGGGGGTAGAATTCCAGGTGTAGCGGTGAAATGCG"
    "TAGAGATCTGGAGGAATACCGGTGGCGAAGGCGGCCCCCTGGACGAAGACTGACGCTCAGGTGCGAAAGCGTGGGGAGCAAACAGGATTAGATACCCTGG"
    "TAGTCCACGCCGTAAACGATGTCGACTTGGAGGTTGTGCCCTTGAGGCGTGGCTTCCGGAGCTAACGCGTTAAGTCGACCGCCTGGGGAGTACGGCCGCA"
    "AGGTTAAAACTCAAATGAATTGACGGGGGCCCGCACAAGCGGTGGAGCATGTGGTTTAATTCGATGCAACGCGAAGAACCTTACCTGGTCTTGACATCCA"
    "CGGAAGTTTTCAGAGATGAGAATGTGCCTTCGGGAACCGTGAGACAGGTGCTGCATGGCTGTCGTCAGCTCGTGTTGTGAAATGTTGGGTTAAGTCCCGC"
    "AACGAGCGCAACCCTTATCCTTTGTTGCCAGCGGTCCGGCCGGGAACTCAAAGGAGACTGCCAGTGATAAACTGGAGGAAGGTGGGGATGACGTCAAGTC"
    "ATCATGGCCCTTACGACCAGGGCTACACACGTGCTACAATGGCGCATACAAAGAGAAGCGACCTCGCGAGAGCAAGCGGACCTCATAAAGTGCGTCGTAG"
    "TCCGGATTGGAGTCTGCAACTCGACTCCATGAAGTCGGAATCGCTAGTAATCGTGGATCAGAATGCCACGGTGAATACGTTCCCGGGCCTTGTACACACC"
    "GCCCGTCACACCATGGGAGTGGGTTGCAAAAGAAGTAGGTAGCTTAACCTTCGGGAGGGCGCTTACCACTTTGTGATTCATGACTGGGGTGAAGTCGTAA"
    "CAAGGTAACCGTAGGGGAACCTGCGGTTGGATCACCTCCTTA"
)
REGIONS = {
    "V1": (69, 99), "V2": (137, 242), "V3": (433, 497), "V4": (576, 682), "V5": (822, 879), "V6": (986, 1043),
    "V7": (1117, 1173), "V8": (1243, 1294), "V9": (1435, 1465),
}  # fmt: skip
# Usual primers, from 5' to 3'; the number of a forward primer is its first base on the gene, that of a reverse primer
# the last (785F and some others have slipped by a base or two in the literature).
PRIMERS = {
    "27F": "AGAGTTTGATCMTGGCTCAG",
    "63F": "CAGGCCTAACACATGCAAGTC",
    "341F": "CCTACGGGNGGCWGCAG",
    "338F": "ACTCCTACGGGAGGCAGCAG",
    "515F": "GTGYCAGCMGCCGCGGTAA",
    "785F": "GGATTAGATACCCBRGTAGTC",
    "799F": "AACMGGATTAGATACCCKG",
    "926F": "AAACTYAAAKGAATTGRCGG",
    "967F": "CAACGCGAAGAACCTTACC",
    "1100F": "YAACGAGCGCAACCC",
    "338R": "TGCTGCCTCCCGTAGGAGT",
    "534R": "ATTACCGCGGCTGCTGG",
    "805R": "GACTACHVGGGTATCTAATCC",
    "806R": "GGACTACNVGGGTWTCTAAT",
    "926R": "CCGYCAATTYMTTTRAGTTT",
    "1046R": "CGACAGCCATGCANCACCT",
    "1193R": "ACGTCATCCCCACCTTCC",
    "1391R": "GACGGGCGGTGWGTRCA",
    "1492R": "TACGGYTACCTTGTTAYGACTT",
}
_BASES_OF = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "K": "GT", "M": "AC", "S": "CG", "W": "AT",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
_IDENTITY = 0.7  # of bacterial genes with that of E. coli, at positions without insertions or deletions between
WINDOW = 150  # first bases of a read that are compared with the gene: later ones are behind insertions and deletions
_LEAST = 0.2  # nats a base: V4 of gut bacteria has 0.3 to 0.7, unrelated sequences less than -0.1
_MIN_BASES = 60
_MAX_PRIMER_START = 30  # random bases, barcodes and adapters in front of a primer
_MAX_MISMATCHES = 2
_NEAR_PRIMER = 2  # bases between a primer and the first base after it


class GenePosition(NamedTuple):
    """Where a read starts on the gene: at base ``start``, towards the end of the gene or, ``turned``, its start."""

    turned: bool
    start: int


def gene_positions(reads: Reads) -> list[GenePosition | None]:
    """Find where each sequence starts on the gene, by its first `WINDOW` bases and without gaps; None if unlike it."""
    found: list[GenePosition | None] = [None] * len(reads)
    window = reads.first_bases(WINDOW)
    if window.codes.shape[1] < _MIN_BASES or len(reads) == 0:
        return found
    table = log_odds(_profile())
    offsets = np.arange(_MIN_BASES - WINDOW, len(GENE) - _MIN_BASES)
    scores = np.stack([scores_of_offsets(some, table, offsets) for some in (window, window.turned)])
    best = scores.argmax(axis=2)
    for row, length in enumerate(window.lengths.tolist()):
        turned = int(scores[1, row, best[1, row]] > scores[0, row, best[0, row]])
        offset = int(offsets[best[turned, row]])
        if length >= _MIN_BASES and scores[turned, row, best[turned, row]] >= _LEAST * length:
            found[row] = GenePosition(bool(turned), offset + length if turned else offset + 1)
    return found


def _profile() -> np.ndarray:
    profile = np.full((len(GENE), 4), (1 - _IDENTITY) / 3)
    profile[np.arange(len(GENE)), alphabet.encode(GENE.encode()) - alphabet.A] = _IDENTITY
    return profile


def position_in_words(position: GenePosition, length: int) -> str:
    """Describe reads of ``length`` bases that start there: ``V4 from 515F (E. coli 534 to 683)``."""
    last = position.start + (1 - length if position.turned else length - 1)
    first, last = max(1, min(position.start, last)), min(len(GENE), max(position.start, last))
    covered = {
        name: (min(last, stop) - max(first, start) + 1) / (stop - start + 1) for name, (start, stop) in REGIONS.items()
    }
    most = max(covered.values())
    regions = [name for name, share in covered.items() if share >= min(0.5, most) and share > 0]
    names = "-".join(dict.fromkeys([regions[0], regions[-1]])) if regions else "16S rRNA"
    primer = _primer_before(position)
    strand = ", reverse strand" if position.turned else ""
    return f"{names}{f' from {primer}' if primer else ''} (E. coli {first} to {last}{strand})"


def _primer_before(position: GenePosition) -> str | None:
    """Return the primer after which reads start at this position, or that they start with; None for neither."""
    near: list[tuple[int, str]] = []
    for name in PRIMERS:
        first, last = primer_site(name)
        if name.endswith("R") == position.turned:
            start, after = (last, first - 1) if position.turned else (first, last + 1)
            near += [(abs(position.start - after), name), (abs(position.start - start), f"{name}, with the primer")]
    distance, primer = min(near, key=lambda one: one[0])
    return primer if distance <= _NEAR_PRIMER else None


@cache
def primer_site(name: str) -> tuple[int, int]:
    """Return the first and the last base of the gene, from 1, that a primer covers."""
    letters = PRIMERS[name]
    if name.endswith("R"):
        letters = "".join(_other_strand(letter) for letter in reversed(letters))
    misses = [
        sum(GENE[start + i] not in _BASES_OF[letter] for i, letter in enumerate(letters))
        for start in range(len(GENE) - len(letters) + 1)
    ]
    start = misses.index(min(misses))
    return start + 1, start + len(letters)


def _other_strand(letter: str) -> str:
    bases = {"ACGT"["TGCA".index(base)] for base in _BASES_OF[letter]}
    return next(code for code, meant in _BASES_OF.items() if set(meant) == bases)


def primers_of(reads: Reads) -> list[tuple[str, int] | None]:
    """Find a usual primer within the first bases of each sequence: its name, and the position after it.

    A primer may start up to 30 bases within the read and differ in two bases, of which none may be an ambiguity code
    of the read. Of several, the one with the fewest differences is taken, then the longest.
    """
    best: list[tuple[str, int] | None] = [None] * len(reads)
    fewest = np.full(len(reads), _MAX_MISMATCHES + 1, dtype=np.float64)
    for name, letters in sorted(PRIMERS.items(), key=lambda item: -len(item[1])):
        misses = np.ones((len(letters), alphabet.VOCABULARY_SIZE), dtype=np.int8)
        for i, letter in enumerate(letters):
            misses[i, [alphabet.A + alphabet.BASES.index(base) for base in _BASES_OF[letter]]] = 0
        for start in range(min(_MAX_PRIMER_START + 1, reads.codes.shape[1] - len(letters) + 1)):
            total = np.zeros(len(reads), dtype=np.int8)
            for i in range(len(letters)):
                total += misses[i].take(reads.columns[start + i])
            for row in np.flatnonzero(total < fewest).tolist():
                best[row], fewest[row] = (name, start + len(letters)), total[row]
    return best
