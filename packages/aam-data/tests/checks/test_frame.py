"""What `aam check` reports about where reads start."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aam_data.checks.check import check_study
from aam_data.checks.frame import frame_report
from aam_data.notes import Note
from aam_data.options.files import TableOptions
from aam_data.sequences import build_sequences
from aam_data.study.frame.gene import GENE
from aam_data.study.orientation import reverse_complement

PRIMER = b"GTGTCAGCAGCCGCGGTAA"  # 515F


def reads(n: int, start: int = 534, length: int = 150, seed: int = 0) -> list[bytes]:
    """Return reads from a base of the gene with a tenth of the bases replaced."""
    random = np.random.default_rng(seed)
    gene = np.tile(np.frombuffer(GENE[start - 1 : start - 1 + length].encode(), dtype=np.uint8), (n, 1))
    replaced = random.random(gene.shape) < 0.1
    gene[replaced] = random.choice(np.frombuffer(b"ACGT", dtype=np.uint8), int(replaced.sum()))
    return [one.tobytes() for one in gene]


def report(sequences: list[bytes]) -> tuple[str, list[Note]]:
    return frame_report(build_sequences(sequences), np.ones(len(sequences)))


def test_a_table_of_one_region_has_its_name_and_no_findings() -> None:
    assert report(reads(40)) == ("V4 from 515F (E. coli 534 to 683)", [])
    turned = [reverse_complement(one) for one in reads(40, 637)]
    assert report(turned) == ("V4 from 806R (E. coli 637 to 786, reverse strand)", [])


def test_primers_left_on_are_named() -> None:
    fact, (note,) = report([b"ACGT" + PRIMER + one for one in reads(40)])
    assert fact == "V4 (E. coli 511 to 683)"
    assert note.code == "sequences-primer-left-on"
    assert note.startswith("warning: 100% of the reads start with the primer 515F")
    assert report([PRIMER + one for one in reads(40)])[0] == "V4 from 515F, with the primer (E. coli 515 to 683)"


def test_two_starts_and_two_strands_are_shares_of_reads() -> None:
    forward = reads(40)
    later = [*forward[:30], *(one[19:] for one in forward[30:])]
    fact, (note,) = report(later)
    assert fact == "V4 from 515F (E. coli 534 to 683) for 75% of the reads"
    assert note.code == "sequences-several-starts"
    assert (
        "start at 2 positions of the gene (75% V4 from 515F (E. coli 534 to 683); 25% V4 (E. coli 553 to 702))" in note
    )
    fact, (note,) = report([*forward[:24], *(reverse_complement(one) for one in forward[24:])])
    assert note.code == "sequences-both-strands"
    assert "40% of the reads are of the reverse strand and 60% of the forward strand" in note


def test_a_base_more_or_less_is_no_other_start() -> None:
    forward = reads(40)
    assert report([*forward[:20], *(one[2:] for one in forward[20:])])[1] == []


def test_other_genes_are_not_placed() -> None:
    random = np.random.default_rng(0)
    other = [bytes(random.choice(list(b"ACGT"), 150).astype(np.uint8)) for _ in range(20)]
    assert report(other) == ("not found on the 16S rRNA gene", [])
    assert report([b"ACGTACGT"])[0] == "not found on the 16S rRNA gene"


def test_real_tables(shared_data: Path) -> None:
    udca = check_study(TableOptions(shared_data / "udca/table.qza", shared_data / "udca/rep-seqs.qza"))
    assert dict(udca.facts)["frame"] == "V4 from 515F (E. coli 534 to 683)"
    tadpole = check_study(TableOptions(shared_data / "tadpole/table.qza", shared_data / "tadpole/rep-seqs.qza"))
    assert "sequences-primer-left-on" in {finding.code for finding in tadpole.findings}
