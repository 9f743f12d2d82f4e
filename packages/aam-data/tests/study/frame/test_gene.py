"""Names of primers and regions on the 16S rRNA gene."""

from __future__ import annotations

import numpy as np
import pytest

from aam_data.study.frame.gene import (
    GENE,
    PRIMERS,
    GenePosition,
    gene_positions,
    position_in_words,
    primer_site,
    primers_of,
)
from aam_data.study.frame.reads import Reads
from aam_data.study.orientation import reverse_complement


def reads_of(*letters: str) -> Reads:
    return Reads.encode([one.encode() for one in letters], np.ones(len(letters)))


@pytest.mark.parametrize("name", PRIMERS)
def test_primers_lie_where_their_names_say(name: str) -> None:
    first, last = primer_site(name)
    number = int(name[:-1])
    assert last - first + 1 == len(PRIMERS[name])
    named = last if name.endswith("R") else first
    # the names of a few have slipped in the literature
    slipped = {"338R": 356, "799F": 781, "926F": 907, "1046R": 1064, "1193R": 1194, "1391R": 1407, "1492R": 1513}
    slipped |= {"27F": 8, "63F": 43, "805R": 805}
    assert named == slipped.get(name, number)


def test_the_gene_has_the_length_of_escherichias() -> None:
    assert len(GENE) == 1542
    assert set(GENE) == set("ACGT")


def test_reads_are_found_on_both_strands() -> None:
    v4 = GENE[533:683]
    found = gene_positions(reads_of(v4, reverse_complement(v4.encode()).decode(), "ACGT" * 40, v4[:40]))
    assert found == [GenePosition(False, 534), GenePosition(True, 683), None, None]


@pytest.mark.parametrize(
    ("position", "length", "text"),
    [
        (GenePosition(False, 534), 150, "V4 from 515F (E. coli 534 to 683)"),
        (GenePosition(False, 515), 150, "V4 from 515F, with the primer (E. coli 515 to 664)"),
        (GenePosition(False, 358), 430, "V3-V4 from 341F (E. coli 358 to 787)"),
        (GenePosition(True, 786), 150, "V4 from 806R (E. coli 637 to 786, reverse strand)"),
        (GenePosition(False, 28), 1465, "V1-V9 from 27F (E. coli 28 to 1492)"),
        (GenePosition(False, 300), 60, "16S rRNA (E. coli 300 to 359)"),
    ],
)
def test_positions_in_words(position: GenePosition, length: int, text: str) -> None:
    assert position_in_words(position, length) == text


def test_primers_are_found_with_two_errors_and_up_to_thirty_bases_in_front() -> None:
    primer, after = "GTGTCAGCAGCCGCGGTAA", GENE[533:633]
    one_error, three_errors = "C" + primer[1:], "CAC" + primer[3:]
    letters = [primer + after, "ACGTACGTACGT" + primer + after, one_error + after, three_errors + after, after]
    found = primers_of(reads_of(*letters))
    assert found[:3] == [("515F", 19), ("515F", 31), ("515F", 19)]
    assert found[4] is None
    assert primers_of(reads_of("A" * 31 + primer + after)) == [None]
    assert primers_of(reads_of("ACG")) == [None]
