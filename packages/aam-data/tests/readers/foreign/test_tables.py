"""What is not taken for another program's table (the cases of tests/broken_files have what is)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aam_data.readers.foreign.files import reject_foreign
from aam_data.readers.foreign.tables import profile_of_ids, reject_foreign_text

OWN = {
    "ids that are numbers": "8\n9\n10\n",
    "metadata": "sample-id\tlabel\tgroup\ns1\ta\tb\n",
    "label first": "label\tage\na\t1\n",
    "a table": "#OTU ID\ts1\ts2\nACGT\t1\t2\n",
    "total of something": "sample-id\ttotal\ns1\t5\n",
    "two columns of numbers": "3\t4\n5\t6\n",
    "comment": "# 8\nsample-id\tx\n",
    "cells that start with <": "<5\t3\n",
    "FASTA": ">1\nACGT\n",
    "newick": "(a:1,b:1);",
    "one number": "8\n",
    "ids from 0": "0\n1\n2\n",
}


@pytest.mark.parametrize("name", OWN)
def test_what_readers_accept_passes(name: str) -> None:
    reject_foreign(OWN[name].encode(), Path("x"))
    reject_foreign_text(OWN[name].encode(), Path("x"))


@pytest.mark.parametrize(
    "ids",
    [
        ["ACGT" * 10] * 5,
        ["4479944", "228054"],
        ["ASV1", "ASV2", "ASV_3"],
        ["0a1b" * 8] * 3,
        ["K00001", "ASV2", "ASV3"],
        ["Otu0001", "Otu0002"],
        ["denovo12", "denovo13"],
        ["a;size=5;", "b;size=6;sample=x;"],
    ],
)
def test_names_of_asvs_are_no_profile(ids: list[str]) -> None:
    assert profile_of_ids(np.array(ids, dtype=object)) is None


@pytest.mark.parametrize(
    ("ids", "what"),
    [
        (["k__Bacteria|p__Firmicutes", "k__Bacteria"], "taxa"),
        (["d__Bacteria;p__Bacteroidota;__;__"], "taxa"),
        (["D_0__Bacteria;D_1__Proteobacteria"], "taxa"),
        (["Bacteria;Firmicutes;Bacilli", "Bacteria;Firmicutes;Clostridia"], "taxa"),
        (["g__Bacteroides", "s__Escherichia coli"], "taxa"),
        (["K00001", "K00002"], "KEGG orthologs"),
        (["ko:K00001"], "KEGG orthologs"),
        (["EC:1.1.1.1", "EC:2.7.7.n1"], "EC numbers"),
        (["1.1.1.1", "3.4.-.-"], "EC numbers"),
        (["PWY-7219: adenosine ribonucleotides", "ANAGLYCOLYSIS-PWY"], "MetaCyc pathways"),
        (["UniRef90_A0A", "UNMAPPED"], "gene families"),
        (["COG0001"], "COG families"),
        (["ko00010", "ko00020"], "KEGG pathways"),
    ],
)
def test_profiles(ids: list[str], what: str) -> None:
    assert what in str(profile_of_ids(ids))
