# ruff: noqa: E501
"""Files as users brought them, in ``../shared/cases`` next to the project: what is said about each, or what it contains.

Skipped where they are absent; tests/broken_files has inputs of the same kinds.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parents[2] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.exists(), reason="../shared/cases does not exist")

# Folder, arguments of `aam check --rarefy-depth 0`, exit status, what it prints.
CHECKS: list[tuple[str, str, int, str]] = [
    ("W1-total-column", "--table final.count_table --sequences otu.fasta", 2, r"column total is the sum of the samples"),
    ("W1-total-column", "--table with_total.tsv", 2, r"is the sum of all other samples \(Total\)"),
    ("W2-classes-same-but-for-case", "infected --classifier", 0, r"WARNING.*4 classes that would be 2.*'TRUE' \(2\) and 'True'"),
    ("W2-classes-same-but-for-case", "dx --classifier", 0, r"WARNING.*4 classes that would be 2.*'Case' \(2\) and 'case' \(2\)"),
    ("W2-classes-same-but-for-case", "arm --classifier", 0, r"WARNING.*4 classes that would be 2.*'0' \(2\) and '0\.0' \(2\)"),
    ("W3-groups-same-but-for-spelling", "age --group-column host_subject_id", 0, r"WARNING.*8 groups that would be 4.*'101' \(1\) and '101\.0'"),
    ("W3-groups-same-but-for-spelling", "age --group-column cage", 0, r"WARNING.*8 groups that would be 4.*both sides of a split"),
    ("W5-reverse-complements", "--table table.tsv", 0, r"WARNING 10 of 10 sequences, with 100\.00% of all reads, are reverse complements"),
    ("W6-json-integer-ids", "--table otu_table.biom --sequences otu.fasta", 0, r"table +8 samples x 6 features, 22,788 reads"),
    ("W8-zero-length-tree", "--table table.tsv --sequences otu.fasta --tree tree.nwk", 2, r"have length 0, so all distances are 0"),
    ("U1-id-hints", "--table table.tsv --metadata cyrillic_metadata.tsv", 2, r"8 of 8 ids would match.*U\+0041.*U\+0410"),
    ("U1-id-hints", "--table table.tsv --metadata endash_metadata.tsv", 2, r"8 of 8 ids would match.*U\+002D.*U\+2013"),
    ("U1-id-hints", "--table table.tsv --metadata zerowidth_metadata.tsv", 2, r"8 of 8 ids would match.*U\+200B"),
    ("U1-id-hints", "--table nfc_table.tsv --metadata nfd_metadata.tsv", 2, r"8 of 8 ids would match.*NFC.*U\+00E9.*U\+0301"),
    ("U1-id-hints", "--table redbiom_table.tsv --metadata redbiom_metadata.tsv", 2, r"8 of 8 ids would match.*redbiom"),
    ("U2-tree-tip-hints", "--table table.tsv --sequences otu.fasta --tree blanks.nwk", 2, r"5 of 5 ids would match.*blanks"),
    ("U2-tree-tip-hints", "--table table.tsv --sequences otu.fasta --tree size.nwk", 2, r"5 of 5 ids would match.*;size="),
    ("U4-mothur-phylip", "--table table.tsv --unifrac-matrix braycurtis.lt.dist", 2, r"PHYLIP.*\n.*phylip_dm"),
    ("U4-mothur-phylip", "--table compressed.count_table --sequences otu.fasta", 2, r"compressed mothur.*\n.*count\.seqs"),
    ("U4-mothur-phylip", "--table final.shared --sequences otu.fasta", 2, r"mothur shared file.*\n.*make\.biom"),
    ("U5-text-columns", "--table confidence.tsv", 2, r"not samples \(taxonomy, Confidence\)"),
    ("U5-text-columns", "--table ranks.tsv", 2, r"not samples \(Kingdom, Phylum\)"),
    ("U6-R-and-pandas-layouts", "--table table.tsv --unifrac-matrix dm_shift.tsv", 0, r"8 x 8, 0 to 0\.875[\s\S]*write\.table"),
    ("U6-R-and-pandas-layouts", "--table table.tsv --metadata rownumbers.csv", 0, r"8 in both[\s\S]*numbers the rows"),
    ("U6-R-and-pandas-layouts", "--table table.tsv --metadata spaces.txt", 2, r"separated by blanks"),
    ("U6-R-and-pandas-layouts", "--table table.tsv --metadata title.tsv", 0, r"8 in both[\s\S]*row 1 is a title"),
    ("U9-lzf-and-csv-docs", "--table lzf.biom", 0, r"ready|check the warnings"),
    ("U9-lzf-and-csv-docs", "--table table.csv", 0, r"table +8 samples x 6 features"),
    ("U10-negative-and-minus", "--table clr.tsv", 2, r"26 of 48 counts are negative.*\n.*raw counts"),
    ("U10-negative-and-minus", "temp", 2, r"Write -2\.5 instead of .*U\+2212"),
]  # fmt: skip
TRAIN = "--rarefy-depth 0 --classifier --preset tiny --epochs 1 --batch-size 4 --test-size 0 --val-size 0.25 --quiet"


@pytest.mark.parametrize(("folder", "words", "status", "expected"), CHECKS, ids=lambda value: str(value)[:60])
def test_checked(folder: str, words: str, status: int, expected: str) -> None:
    options = (
        words if words.startswith("--") else f"--table table.tsv --metadata metadata.tsv --metadata-column {words}"
    )
    done = aam(f"check --rarefy-depth 0 {options}", CASES / folder)
    assert (done.returncode, done.stderr) == (status, "")
    assert re.search(expected, done.stdout), done.stdout


def test_no_class_is_known(tmp_path: Path) -> None:
    folder = CASES / "W9-evaluate-judges-nothing"
    files = "--table table.tsv --metadata"
    run, results = tmp_path / "run", tmp_path / "results"
    assert aam(f"train {files} bool.tsv --metadata-column infected {TRAIN} --output-dir {run}", folder).returncode == 0
    done = aam(f"evaluate --model {run} {files} bool_recased.tsv --output-dir {results}", folder)
    assert done.returncode == 2
    assert re.search(r"(?i)error: .*true.*false.*ignoring case", done.stderr), done.stderr
    assert not results.exists()


def aam(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aam_cli", *words.split()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
