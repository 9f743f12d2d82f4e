"""BIOM 1.0 (JSON) and tab-separated tables, and features without usable sequences."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .case import Case, Says, Spoil, both, case, content, note
from .good_study import COUNTS, FEATURES, SAMPLES, fasta_text, json_table, json_text, tsv_table
from .hdf5_tables import swapped, table

FILE, FASTA = "table.biom", "rep-seqs.fasta"


def document(edit: Callable[[dict[str, Any]], object]) -> Spoil:
    """The table as JSON, after an edit of the document."""

    def spoil(folder: Path) -> None:
        fields = json_table()
        edit(fields)
        content(FILE, json.dumps(fields))(folder)

    return spoil


def text(old: str, new: str, of: Callable[[], str]) -> Spoil:
    """A table as text in which the first ``old``, which must be there, became ``new``."""

    def spoil(folder: Path) -> None:
        assert old in of()
        content(FILE, of().replace(old, new, 1))(folder)

    return spoil


def tsv(old: str, new: str) -> Spoil:
    return text(old, new, tsv_table)


def with_columns(*columns: tuple[str, str]) -> str:
    """The table with more columns at the right: their names, and the cell of every row."""
    comment, header, *rows = tsv_table().splitlines()
    names, cells = zip(*columns, strict=True)
    return "\n".join([comment, "\t".join([header, *names]), *("\t".join([row, *cells]) for row in rows)]) + "\n"


def entry(position: int, value: Any) -> Callable[[dict[str, Any]], None]:
    """An edit of the third entry of ``data``: its row (0), column (1) or count (2)."""

    def edit(fields: dict[str, Any]) -> None:
        fields["data"][2][position] = value

    return edit


def fasta(edit: Callable[[str], str | bytes]) -> Spoil:
    return lambda folder: content(FASTA, edit(fasta_text()))(folder)


def hashed(folder: Path) -> None:
    """Features named by the MD5 of their sequences."""
    table(features=MD5)(folder)


def third(value: str) -> list[str]:
    return swapped(FEATURES, _2=value)


MD5 = [hashlib.md5(name.encode(), usedforsecurity=False).hexdigest() for name in FEATURES]
N = len(json_table()["data"])
FIRST = int(np.flatnonzero(COUNTS[:, 0])[0])
SECOND = int(np.flatnonzero(COUNTS[:, 0])[1])  # the second sample with the first feature
FIRST_ROW = "\t".join([FEATURES[0], *map(str, COUNTS[:, 0])])
LAST_ROW = tsv_table().splitlines()[-1]
COUNT = f"\t{COUNTS[SECOND, 0]}\t"
WHERE = (f"({SAMPLES[SECOND]}, {FEATURES[0]})",)

CASES: list[Case] = [
    case("json_good", content(FILE, json_text())),
    case("json_good_gzip", lambda folder: content(FILE, gzip.compress(json_text().encode()))(folder)),
    case("json_as_r_writes_it", document(lambda d: d.update(id=["None"], matrix_type=["sparse"]))),
    case("json_nan_count", document(entry(2, float("nan"))), Says(FILE, "NaN is not JSON", remedy="number")),
    case("json_infinite_count", document(entry(2, float("inf"))), Says(FILE, "Infinity is not JSON")),
    case(
        "json_count_is_text",
        document(entry(2, "12")),
        Says(FILE, f"1 of {N} counts are not numbers", "data", ("'12'",)),
    ),
    case(
        "json_count_is_null",
        document(entry(2, None)),
        Says(FILE, f"1 of {N} counts are not numbers", "data", ("None",)),
    ),
    case("json_count_negative", document(entry(2, -3)), Says(FILE, f"1 of {N} counts are negative", "data", ("= -3",))),
    case(
        "json_row_out_of_range",
        document(entry(0, 20)),
        Says(FILE, f"1 of {N} row numbers are not 0 to 19", "data", ("20",)),
    ),
    case(
        "json_column_negative",
        document(entry(1, -1)),
        Says(FILE, f"1 of {N} column numbers are not 0 to 15", "data", ("-1",)),
    ),
    case("json_count_gigantic", document(entry(2, 10**400)), Says(FILE, "far too large", "data")),
    case(
        "json_cell_twice",
        document(lambda d: d["data"].append(d["data"][0])),
        Says(
            FILE,
            f"1 of {N + 1} counts repeat a feature of their sample",
            "data",
            (f"({SAMPLES[FIRST]}, {FEATURES[0]})",),
        ),
    ),
    case(
        "json_shape_wrong",
        document(lambda d: d.update(shape=[20, 17])),
        Says(FILE, "[20, 17]", "shape", remedy="biom convert"),
    ),
    case(
        "json_of_something_else",
        content(FILE, '{"a": 1}'),
        Says(FILE, "not a BIOM 1.0 table; it lacks", "", ("rows", "columns"), 5),
    ),
    case(
        "json_cut_in_half",
        content(FILE, json_text()[:2000]),
        Says(FILE, "not valid JSON", remedy="Copy the file again"),
    ),
    case("json_nested_deeply", content(FILE, '{"a":' + "[" * 10**6), Says(FILE, "not valid JSON")),
    case(
        "json_duplicate_samples",
        document(lambda d: d["columns"].__setitem__(3, {"id": "s01"})),
        Says(FILE, "sample ids that appear more than once", "columns", ("s01",), 1),
    ),
    case(
        "json_id_is_a_number",
        document(lambda d: d["columns"].__setitem__(3, {"id": 4})),
        note(FILE, "1 of 16 sample ids of table.biom are numbers and were read as text"),
        missing_samples="ignore",
    ),
    case(
        "json_ids_are_whole_numbers",
        both(
            document(lambda d: d.update(rows=[{"id": 4000 + k, "metadata": None} for k in range(20)])),
            content(FASTA, "".join(f">{4000 + k}\n{name}\n" for k, name in enumerate(FEATURES))),
        ),
        note(FILE, "20 of 20 feature ids of table.biom are numbers and were read as text"),
        sequences=FASTA,
    ),
    case(
        "json_id_is_null",
        document(lambda d: d["rows"].__setitem__(3, {"id": None})),
        Says(FILE, "without a text or number", "rows", ("number 4",), 1),
    ),
    case(
        "json_id_is_true",
        document(lambda d: d["rows"].__setitem__(3, {"id": True})),
        Says(FILE, "without a text or number", "rows", ("number 4",), 1),
    ),
    case("tsv_good", content(FILE, tsv_table())),
    case("tsv_without_first_comment", content(FILE, tsv_table().split("\n", 1)[1])),
    case(
        "tsv_with_taxonomy",
        content(
            FILE, tsv_table().replace("\n", "\tk__B\n").replace("\tk__B\n", "\n", 1).replace("k__B", "taxonomy", 1)
        ),
        note(FILE, "taxonomy"),
    ),
    case("tsv_count_is_text", tsv(COUNT, "\tmany\t"), Says(FILE, "not numbers", "", (f"{WHERE[0]} = 'many'",), 1)),
    case("tsv_count_is_nan", tsv(COUNT, "\tnan\t"), Says(FILE, "not numbers", "", (f"{WHERE[0]} = 'nan'",), 1)),
    case(
        "tsv_last_column_has_decimal_commas",
        content(FILE, "#OTU ID\ts1\ts2\nf1\t1\t0,5\nf2\t0\t1,25\n"),
        Says(FILE, "2 cells are not numbers", "", ("(s2, f1) = '0,5'",), 2, "Write decimals with a point"),
    ),
    case(
        "tsv_count_negative",
        tsv(COUNT, "\t-4\t"),
        Says(FILE, f"1 of {N} counts are negative", "", WHERE, remedy="Pass the table of raw counts"),
    ),
    case(
        "tsv_count_with_a_typographic_minus",
        tsv(COUNT, "\t\u22124\t"),
        Says(FILE, "1 cells are not numbers", "", WHERE, remedy="Write -4 instead of \u22124"),
    ),
    case(
        "tsv_taxonomy_and_confidence",
        content(FILE, with_columns(("taxonomy", "k__B; p__F"), ("Confidence", "0.99"))),
        Says(FILE, "columns that are not samples", "", ("taxonomy", "Confidence"), 2, "--taxonomy"),
    ),
    case(
        "tsv_ranks",
        content(FILE, with_columns(("Kingdom", "Bacteria"), ("Phylum", "Firmicutes"), ("Genus", "NA"))),
        Says(FILE, "columns that are not samples", "", ("Kingdom", "Phylum", "Genus"), 3),
    ),
    case(
        "tsv_sample_without_values",
        content(FILE, with_columns(("s17", "NA"), ("s18", "3"))),
        Says(FILE, "20 cells are not numbers", "", (f"(s17, {FEATURES[0]}) = 'NA'",), remedy="Write 0"),
    ),
    case(
        "tsv_quoted_counts",
        tsv(COUNT, '\t"4"\t'),
        Says(FILE, "1 cells are not numbers", "", WHERE, remedy="Remove the quotes around numbers"),
    ),
    case("tsv_with_a_nul", tsv(COUNT, "\t\0\t"), Says(FILE, "text with NUL bytes", remedy="copy or export")),
    case("tsv_row_too_long", tsv(LAST_ROW, LAST_ROW + "\t1\t2"), Says(FILE, "cells", "", ("row 22",))),
    case("tsv_row_too_short", tsv(LAST_ROW, FEATURES[-1]), Says(FILE, "cells", "", ("row 22",))),
    case("tsv_duplicate_samples", tsv("s04", "s01"), Says(FILE, "sample ids that appear more than once", "", ("s01",))),
    case(
        "tsv_duplicate_features",
        tsv(FEATURES[1], FEATURES[0]),
        Says(FILE, "feature ids that appear more than once", "", (FEATURES[0],)),
    ),
    case("tsv_header_only", content(FILE, "#OTU ID\ts1\ts2\n"), Says(FILE, "no ")),
    case(
        "features_are_hashes",
        hashed,
        Says(FILE, "MD5 hashes, not sequences", "", tuple(MD5[:3]), remedy="--sequences"),
        tree=None,
    ),
    case(
        "features_are_taxa",
        table(features=[f"k__Bacteria;g__{k}" for k in range(20)]),
        Says(FILE, "the features are taxa", "", ("k__Bacteria;g__0",), remedy="counts of ASVs"),
        tree=None,
    ),
    case("features_without_a_name", table(features=third("")), Says(FILE, "empty feature ids", "", ("number 3",), 1)),
    case("hashes_with_sequences", hashed, sequences=FASTA),
    case(
        "sequences_of_other_features",
        both(hashed, fasta(lambda text: text.replace(FEATURES[3], "ACGT" * 10))),
        Says(FASTA, "1 of 20 features have no sequence", "", (MD5[3],), 1, remedy="--missing-features drop"),
        sequences=FASTA,
    ),
    case(
        "sequence_with_n",
        table(features=third(FEATURES[2][:-1] + "N")),
        note("tree.nwk", "1 of 20 ASVs"),
        missing_tips="ignore",
    ),
    case("sequence_in_lower_case", table(features=[name.lower() for name in FEATURES])),
    case("sequence_with_u", table(features=[name.replace("T", "U") for name in FEATURES])),
    case(
        "sequence_with_gaps",
        both(
            hashed, fasta(lambda text: text.replace(f"\n{FEATURES[2]}", f"\n--{FEATURES[2][:20]}..{FEATURES[2][20:]}"))
        ),
        note(FASTA, "gaps (- and .) were removed from 1 of 20 sequences"),
        sequences=FASTA,
    ),
    case(
        "sequence_of_10_kb",
        table(features=third("ACGT" * 2500)),
        note(FILE, "sequences are 40 to 10000 bases long"),
        tree=None,
    ),
    case("fasta_empty", content(FASTA, b""), Says(FASTA, "file is empty"), sequences=FASTA),
    case(
        "fasta_is_fastq",
        content(FASTA, "@r\nACGT\n+\nIIII\n"),
        Says(FASTA, "found FASTQ", remedy="--sequences"),
        sequences=FASTA,
    ),
    case(
        "fasta_name_twice",
        fasta(lambda text: text + text.splitlines(keepends=True)[0] + "ACGT\n"),
        Says(FASTA, "appear more than once", "headers", (FEATURES[0],), 1),
        sequences=FASTA,
    ),
    case(
        "fasta_of_proteins",
        fasta(lambda text: text.replace(f"\n{FEATURES[2]}", "\nMKLVEQ")),
        Says(FASTA, "letters that are not DNA", "", (f"{FEATURES[2]} 'ELQ'",), 1),
        sequences=FASTA,
    ),
    case(
        "fasta_without_a_base",
        fasta(lambda text: text.replace(f"\n{FEATURES[2]}\n", "\n\n")),
        Says(FASTA, "records without a base", "", (FEATURES[2],), 1),
        sequences=FASTA,
    ),
    case(
        "fasta_without_a_name",
        fasta(lambda text: "> \nACGT\n" + text),
        Says(FASTA, "empty", "headers"),
        sequences=FASTA,
    ),
]
