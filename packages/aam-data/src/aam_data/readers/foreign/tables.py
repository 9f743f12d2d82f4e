"""Text tables of other programs, recognised by their first lines, and features that are not ASVs.

Formats: mothur's count, shared, list and cons.taxonomy files (https://mothur.org/wiki), PHYLIP's distance matrices
(https://phylipweb.github.io/phylip/doc/distance.html), profiles of taxa (MetaPhlAn, Kraken, Bracken) and of functions
(HUMAnN, PICRUSt).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from aam_data.errors import DataError

if TYPE_CHECKING:
    import numpy as np

_HEAD = 1 << 16  # bytes looked at
_MIN_SHARE = 0.8  # of ids that must look alike
_NEEDS_ASVS = "AAM needs counts of ASVs with their sequences: pass the table of the ASVs that it was made from"
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
_BASES = re.compile("[ACGTUN.-]+", re.IGNORECASE)
_KRAKEN = re.compile(r"\s*\d+\.\d+\t\d+\t\d+\t([A-Z]\d*\t\d+|\d+\t\d+\t[A-Z]\d*)\t")
_PROFILES: dict[str, re.Pattern[str]] = {
    "taxa, as of MetaPhlAn or qiime taxa collapse": re.compile(
        r"(?:sk|[a-z]|[DL]_\d+)__.*|[^;|=]+(?:[;|][^;|=]*){2,}|unclassified|unassigned(?:;_+)*", re.IGNORECASE
    ),
    "KEGG orthologs, as of PICRUSt or HUMAnN": re.compile(r"(?:ko:)?K\d{5}\b.*"),
    "EC numbers, as of PICRUSt or HUMAnN": re.compile(r"(?:EC[: ]?)?\d+\.(?:\d+|-)\.(?:\d+|-)\.(?:n?\d+|-)(?!\w).*"),
    "COG families": re.compile(r"COG\d{4}\b.*"),
    "Pfam families": re.compile(r"PF\d{5}\b.*"),
    "gene families of HUMAnN": re.compile(r"(?:UniRef\d+_.*|UNMAPPED|UNGROUPED\b.*|UNINTEGRATED\b.*)"),
    "MetaCyc pathways, as of PICRUSt or HUMAnN": re.compile(
        r".*(?:PWY|-CYCLE|SYN-|BIOSYN|-DEG|METHANOGENESIS|GLYCOLYSIS|FERMENT).*"
    ),
    "KEGG pathways or modules": re.compile(r"(?:ko|map|path:(?:ko|map))\d{5}\b.*|M\d{5}\b.*"),
    "Gene Ontology terms": re.compile(r"GO:\d{7}\b.*"),
}


def reject_foreign_text(content: bytes, path: Path) -> None:
    """Raise DataError if the first lines of a text are those of another program's table.

    Args:
        content: the text, or its beginning; other content passes.
        path: names the file in messages.
    """
    head = content[:_HEAD].decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    lines = [line for line in head.split("\n") if line.strip()][:5]
    if not lines:
        return
    for what, remedy in (_mothur(lines, path), _profile(lines), _phylip(lines, path, len(content) > _HEAD)):
        if what:
            raise DataError(f"is {what}", code="file-foreign-format", file=path, remedy=remedy)


def profile_of_ids(ids: Sequence[str] | np.ndarray) -> str | None:
    """Return what the features of a table are if most of their ids are taxa or functions, not ASVs."""
    for what, pattern in _PROFILES.items():
        if sum(pattern.fullmatch(name) is not None for name in ids) >= max(1, _MIN_SHARE * len(ids)):
            return what
    return None


def profile_error(ids: np.ndarray, path: Path | str | None) -> DataError | None:
    """Create the error for a table whose features are taxa or functions; None for other tables."""
    if (what := profile_of_ids(ids)) is None:
        return None
    return DataError(
        f"the features are {what}",
        code="table-features-not-asvs",
        file=path,
        offenders=[name[:80] for name in ids],
        remedy=_NEEDS_ASVS,
    )


def _cells(line: str) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in re.split(r"[\t,]", line)]


def _mothur(lines: list[str], path: Path) -> tuple[str, str]:
    name, cells = path.name, _cells(lines[0])
    if lines[0].lower().startswith("#compressed format"):
        remedy = f"Write it in full, in mothur: count.seqs(count={name}, compress=f), and remove its column total"
        return "a compressed mothur count table", f"{remedy}: cut -f 1,3- FILE > table.tsv"
    if cells[0].replace("_", " ") == "representative sequence" and "total" in cells:
        if len(cells) == 2:
            return "a mothur count table without samples, only with totals", "Make it with groups: count.seqs(group=)"
        remedy = f"Remove it: cut -f 1,3- {name} > table.tsv; and pass the fasta file of its sequences to --sequences"
        return "a mothur count table, whose column total is the sum of the samples", remedy
    if cells[:2] == ["label", "group"] and "".join(cells[2:3]).startswith("num"):
        remedy = f"In mothur, make.biom(shared={name}) writes a table for --table, and get.oturep the sequences of OTUs"
        return "a mothur shared file, with samples as rows", remedy
    if cells[0] == "label" and "".join(cells[1:2]).startswith("num"):
        return "a mothur list file", f"In mothur, make.shared(list={name}, count=FILE), then make.biom(shared=FILE)"
    if cells == ["otu", "size", "taxonomy"]:
        remedy = "For --taxonomy, keep the columns OTU and Taxonomy and name them Feature ID and Taxon"
        return "a mothur cons.taxonomy file, without samples", remedy
    return "", ""


def _profile(lines: list[str]) -> tuple[str, str]:
    first = _cells(lines[0])
    if lines[0].startswith("#mpa_v") or any(_cells(line)[0] in ("clade_name", "#clade_name") for line in lines):
        return "a profile of taxa of MetaPhlAn", _NEEDS_ASVS
    if re.match(r"# (Gene Family|Pathway|Reaction)\b", lines[0]):
        return "a profile of functions of HUMAnN", _NEEDS_ASVS
    if first[:2] == ["name", "taxonomy_id"]:
        return "a profile of taxa of Bracken", _NEEDS_ASVS
    if _KRAKEN.match(lines[0]):
        return "a report of Kraken", _NEEDS_ASVS
    return "", ""


def _phylip(lines: list[str], path: Path, is_cut: bool) -> tuple[str, str]:
    first, *rows = (line.split() for line in lines)
    if len(first) == 2 and all(cell.isdecimal() for cell in first) and rows and _BASES.fullmatch("".join(rows[0][1:])):
        return "a PHYLIP alignment", "Convert it to FASTA"
    if len(first) not in (1, 2) or not first[0].isdecimal() or len(rows) < 2 or first[1:] not in ([], ["square"]):
        return "", ""
    are_numbers = all(_NUMBER.fullmatch(cell) for row in rows[:-1] for cell in row[1:])
    steps = {len(below) - len(row) for row, below in pairwise(rows)}
    is_cut = is_cut and len(rows) == 1
    square = int(first[0]) > 1 and len(rows[0]) == int(first[0]) + 1 and steps <= {0}
    lower = len(rows[0]) in (1, 2) and steps == {1}
    if not are_numbers or not (square or lower or is_cut):
        return "", ""
    read = f"DistanceMatrix.read({path.name!r}, format='phylip_dm').write('distances.tsv')"
    return "a PHYLIP distance matrix" + " (lower triangle)" * lower, f"Convert it with scikit-bio (from 0.7.2): {read}"
