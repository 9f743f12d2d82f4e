"""Lineages as class codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.preprocessing.taxonomy import TaxonRanks, split_lineage

FILE = Path("taxonomy.tsv")
TAXA = np.array(
    [
        "k__Bacteria; p__Firmicutes; g__Bacillus",
        "k__Bacteria; p__Firmicutes; g__",
        "k__Bacteria; p__Proteobacteria; g__Bacillus",
        "k__Archaea",
        "Unassigned",
        None,
    ],
    dtype=object,
)


@pytest.mark.parametrize(
    ("taxon", "names"),
    [
        ("d__Bacteria;p__Firmicutes", ["d__Bacteria", "p__Firmicutes"]),
        ("k__Bacteria; p__; c__", ["k__Bacteria"]),
        ("k__Bacteria; p__; c__Clostridia", ["k__Bacteria"]),  # below an unknown rank nothing is known
        ("Bacteria; Firmicutes; uncultured", ["Bacteria", "Firmicutes"]),
        ("Unassigned", []),
        ("", []),
        (None, []),
    ],
)
def test_lineages_end_at_the_last_known_rank(taxon: str | None, names: list[str]) -> None:
    assert split_lineage(taxon) == names


def test_classes_are_whole_lineages_of_the_training_asvs() -> None:
    ranks = TaxonRanks.fit(TAXA[:4], FILE)
    assert ranks.widths == (2, 2, 2)
    assert ranks.lineages[2] == (
        "k__Bacteria; p__Firmicutes; g__Bacillus",
        "k__Bacteria; p__Proteobacteria; g__Bacillus",
    )
    assert ranks.encode(TAXA).tolist() == [[1, 0, 0], [1, 0, -1], [1, 1, 1], [0, -1, -1], [-1, -1, -1], [-1, -1, -1]]
    new = np.array(["k__Bacteria; p__New; g__Bacillus; s__subtilis"], dtype=object)
    assert ranks.encode(new).tolist() == [[1, -1, -1]]
    assert TaxonRanks.from_list(ranks.to_list()) == ranks


def test_taxa_that_teach_nothing_are_rejected() -> None:
    with pytest.raises(DataError, match=r"taxonomy.tsv: the training ASVs have fewer than two taxa"):
        TaxonRanks.fit(TAXA[[1, 4, 5]], FILE)
    deep = np.array(["; ".join(f"r{i}__{name}" for i in range(33)) for name in "ab"], dtype=object)
    with pytest.raises(DataError, match="lineages have 33 ranks, but at most 32 are allowed"):
        TaxonRanks.fit(deep, FILE)
